//! Apps: licences from Apple's Apps and Books, and which iPad is told what.
//!
//! | Module     | What it does                                                                       |
//! |------------|------------------------------------------------------------------------------------|
//! | [`wire`]   | what Apps and Books (API version 2) says, and why it refuses (pure)                 |
//! | [`plan`]   | which licences to ask for and to give back, and in which requests (pure)            |
//! | [`tell`]   | what an iPad is told when that changes (pure)                                       |
//! | `client`   | the requests, blocking                                                              |
//! | `round`    | one round: ask Apple what there is, bring it to what is wanted                      |
//! | `run`      | when there is a round, and telling the iPads                                        |
//!
//! An app is offered to an iPad only when the iPad has the licence. Not done: licences of people (Apple accounts), books, subscriptions, and
//! Apple's notifications, for which a school would have to be reachable from outside: changes at Apple are seen when it is asked, every
//! quarter of an hour.

pub(crate) mod client;
pub mod plan;
mod round;
mod run;
pub mod tell;
pub mod wire;

pub(crate) use run::{concerns, run};
