//! Accounts that are recovered by mail, on the built program: several replicas, a real SMTP conversation.

mod starting;
