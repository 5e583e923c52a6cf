//! What a link in a mail stands for.

use time::OffsetDateTime;

use crate::{features::identity::UserId, shared::id};

id! {
    /// The id of a request: the first part of its link's token.
    MailRequestId
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To show that the mail of the account's address is read.
    Verify,
    /// To choose a new password.
    Reset,
    /// To give the account the address that the link was sent to.
    Change,
}

impl Purpose {
    /// As the table knows it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
            Self::Change => "change",
        }
    }
}

/// A request that is neither completed nor expired, with what its token depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenRequest {
    pub(super) id: MailRequestId,
    pub(super) user: UserId,
    /// The address of the account now.
    pub(super) email: String,
    /// The address that it gets, for [`Purpose::Change`].
    pub(super) new_email: Option<String>,
    /// When the password was last chosen: another one makes every link void.
    pub(super) password_changed_at: OffsetDateTime,
    /// When and how often the link was sent.
    pub(super) mailed_at: Option<OffsetDateTime>,
    pub(super) mails: i32,
    pub(super) expires_at: OffsetDateTime,
}

impl OpenRequest {
    /// Where the link is sent, which is what it proves.
    pub(super) fn mailbox(&self) -> &str {
        self.new_email.as_ref().unwrap_or(&self.email)
    }

    /// Whether the link may be sent (again): a minute after the first mail, two after the second, and so on. Strangers can
    /// ask for it, too, and would fill the mailbox.
    pub(super) fn may_be_mailed(&self, now: OffsetDateTime) -> bool {
        let doublings = self.mails.clamp(1, 10) - 1;
        let pause = time::Duration::minutes(1 << doublings);
        // Or the clock was set back since.
        self.mailed_at
            .is_none_or(|last| now >= last + pause || last > now + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mail_of_one_link_comes_later_than_the_one_before() {
        let start = OffsetDateTime::UNIX_EPOCH;
        let request = |mails, mailed_at| OpenRequest {
            id: MailRequestId::generate(),
            user: UserId::generate(),
            email: "a@example.com".to_owned(),
            new_email: None,
            password_changed_at: start,
            mailed_at,
            mails,
            expires_at: start,
        };

        assert!(request(0, None).may_be_mailed(start));
        for (mails, minutes) in [(1, 1), (2, 2), (3, 4), (11, 512), (i32::MAX, 512)] {
            let due = start + time::Duration::minutes(minutes);
            let request = request(mails, Some(start));
            assert!(
                !request.may_be_mailed(due - time::Duration::SECOND),
                "{mails}"
            );
            assert!(request.may_be_mailed(due), "{mails}");
        }
    }
}
