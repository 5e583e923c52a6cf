//! How much mail strangers can have sent to one address.
//!
//! A link is sent again later and later, but each account and each purpose has a link of its own, and a change of address
//! names any address. So whatever somebody else than the owner of a mailbox can ask for also counts against the mailbox.
//! Nobody is told: who asked would learn that there was something to send.
//!
//! The links of the account that has the address count by themselves. Strangers can ask for these, too, but then what
//! comes is what the owner waits for; whatever else they have sent to the mailbox must not keep it away.

use std::time::Duration;

use chassis_http::Quota;

use super::Recovery;
use crate::features::{
    jobs::{JobError, Run},
    limits::{Error, LimitKey},
};

/// Ten at once, and six an hour.
static QUOTA: Quota = Quota::every("mailbox", Duration::from_mins(10), 10);

/// What a message counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// A link of the account that has the address.
    OwnLink,
    /// Something that other accounts, or nobody, can have sent there as often as they like.
    Other,
}

/// Whether another message may go to this address. It is counted once, however often the job is tried.
pub(super) async fn admits(
    recovery: &Recovery,
    run: Run,
    counted: Counted,
    address: &str,
) -> Result<bool, JobError> {
    if run.attempt > 1 {
        return Ok(true);
    }
    let limits = recovery.auth().limits();
    let bucket = match counted {
        Counted::OwnLink => "mailbox_own",
        Counted::Other => "mailbox",
    };
    match limits.take_by(&QUOTA, LimitKey::new(bucket, address)).await {
        Ok(()) => Ok(true),
        Err(Error::Account(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
