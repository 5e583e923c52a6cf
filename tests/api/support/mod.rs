//! What the tests stand on: the whole service, called in process, over a real PostgreSQL.

mod answer;
mod app;
mod builders;
pub mod cluster;
pub mod leaks;
mod marks;
mod rows;

pub use self::{
    answer::Answer,
    app::{SECRET, TestApp},
    builders::{TestUser, Tokens},
    cluster::until,
};
// browser_sessions: begin
pub use self::app::Call;
// browser_sessions: end
