//! The documentation of the API that the service serves.

mod pages;
