//! How many files the process may open, and so how many connections it can have, for `serve` and for `doctor`.

use std::io;

use crate::settings::Settings;

/// Open files besides the connections of clients and of PostgreSQL's pools: standard streams, listeners, the runtime,
/// the export of traces, migrations, probes, and connections that are being closed.
const OTHER_FILES: usize = 32;

/// How many connections the listener of `ADMIN_PORT` may have: scrapers and probes.
pub(super) const ADMIN_CONNECTIONS: usize = 100;

/// What the limit of open files allows.
pub(super) struct Files {
    /// How many files may be open.
    pub(super) limit: usize,
    /// How many should be.
    pub(super) wanted: usize,
    /// How many connections the public listener may have: `MAX_CONNECTIONS`, or less where the limit is low.
    pub(super) max_connections: usize,
}

impl Files {
    /// Raises the limit of this process as far as it is needed and allowed.
    ///
    /// # Errors
    ///
    /// When the operating system does not tell the limit.
    pub(super) fn raise_limit(settings: &Settings) -> io::Result<Self> {
        let pools = settings.database.pool_size + settings.database.read_connections;
        let admin = settings
            .service
            .admin
            .as_ref()
            .map_or(0, |_| ADMIN_CONNECTIONS);
        let other = pools + admin + OTHER_FILES;
        let configured = settings.server.max_connections;
        let wanted = configured.saturating_add(other);
        let wanted_limit = u64::try_from(wanted).unwrap_or(u64::MAX);
        let limit = rlimit::increase_nofile_limit(wanted_limit)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Self {
            limit,
            wanted,
            max_connections: allowed(limit, other).min(configured),
        })
    }
}

/// How many connections there may be. Where not even the other files fit, a part of the limit: the server closes idle
/// connections when there are no descriptors left.
fn allowed(limit: usize, other: usize) -> usize {
    limit.saturating_sub(other).max(limit / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn connections_get_what_other_files_leave_but_never_nothing() {
        assert_eq!(allowed(1024, 44), 980);
        assert_eq!(allowed(40, 44), 10);
        assert_eq!(allowed(2, 44), 1);
    }
}
