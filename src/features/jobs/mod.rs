//! Jobs: work that outlives a request, on PostgreSQL alone.
//!
//! A job is enqueued inside the transaction that it belongs to ([`Jobs::enqueue`]): it exists exactly if that transaction
//! was committed. A worker, in each `serve` or alone as `worker`, claims it, calls the handler of its kind, and deletes the
//! row when that succeeded. A job runs **at least once**: a process can end between an effect and the deletion of the row,
//! so a handler has to do no harm when it runs again.
//!
//! # The life of a job
//!
//! `queued` → `running` → deleted, or back to `queued`, or `dead`:
//!
//! - **Claim.** One statement probes, for each priority and each kind that this program knows, the index of what is due,
//!   until it has as many as the worker has free slots. So whatever else the table holds costs nothing. The row gets a lease,
//!   and its number `claim` grows.
//! - **Lease.** A process renews the leases of everything it runs by one statement, on a connection of its own. Any
//!   replica puts back what has an expired lease (a process that was killed, stopped or cut off). That counts as a
//!   loss and not as a failure, because nothing says that the job is to blame; more than `JOBS_MAX_LOSSES` is death, or a
//!   payload that kills its process would go round for ever. `leases.rs` says why an outage of the database loses nothing.
//! - **Fence.** Whatever a worker writes about a run names the id and the claim. When no row has both, the lease was
//!   lost, and another run decides: the handler is cancelled, and nothing is written.
//! - **Failure.** An error, a panic, a handler that takes longer than its `TIMEOUT` (it is cancelled), a payload that cannot
//!   be decoded (a newer replica may know it): tried again after 5 s · 2ⁿ, and `dead` after its attempts.
//! - **Shutdown.** The worker claims nothing more, lets handlers end, and puts back what is left without counting it.
//!
//! Dead jobs stay for `JOBS_KEEP_DEAD_DAYS`, for the commands `jobs list`, `show` and `retry`.
//!
//! A schedule ([`Handlers::schedule`]) enqueues a job whenever its rule says so, once for all replicas, and without a
//! leader: the time of the next run is moved by compare-and-set in the transaction that enqueues the job.
//!
//! # When something fails
//!
//! The service runs without it: with no table, no worker, no room on the disk. Only a request that enqueues fails when the
//! table does not take the job, because both are one transaction; what can do without does that part in
//! [`Transaction::attempt`](chassis_postgres::Transaction::attempt). The worker logs `job_queue_unavailable`, and looks again a
//! little later each time.
//!
//! No other feature depends on this one. Elsewhere its lines name it, or `Worker`, or stand between `jobs: begin` and `jobs: end`.
//!
//! All times are PostgreSQL's, so that the clocks of replicas may differ, plus an offset that is zero outside tests.

mod backoff;
mod error;
mod handlers;
mod job;
mod leases;
mod metrics;
mod operator;
mod purge;
mod queue;
mod run;
mod schedule;
mod settings;
mod tables;
mod worker;

pub use self::{
    error::EnqueueError,
    handlers::Handlers,
    job::{Job, JobError, JobId, Priority, Run},
    purge::register,
    queue::{Jobs, Parts},
    run::Outcome,
    schedule::Rule,
    settings::JobSettings,
    worker::{Finished, Worker},
};
