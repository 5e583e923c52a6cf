//! The endpoints.

mod own_handlers;
mod own_payloads;
mod own_routes;
mod user_view;
mod users_handlers;
mod users_payloads;
mod users_routes;

pub use self::{
    own_routes::endpoints as own_endpoints,
    user_view::{UserView, role_schema},
    users_routes::endpoints as users_endpoints,
};
