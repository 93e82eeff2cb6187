//! The web page and the JSON API of the school admin: HTTPS with a certificate of the school's own authority, pages rendered
//! on the server in German and English, live through server-sent events.
//!
//! `routes` is the table of everything that can be called, with who may; `guard` stands before all of it; `pages` and `api`
//! read and write through `actions`, so that a person can do nothing that the API cannot, and the other way round.

mod actions;
mod api;
mod app;
mod apple;
mod apps;
mod backups;
mod bearer;
mod config;
mod drift;
mod exams;
mod failure;
mod faults;
mod fields;
mod first_password;
mod format;
mod fresh;
mod guard;
mod imports;
mod ipad_rules;
mod ipads;
mod job_failure;
mod lang;
mod lessons;
mod line_problem;
mod live;
mod mail;
mod night;
mod notices;
mod openapi;
mod page;
mod pages;
mod people;
mod portal;
mod problem;
mod qr;
mod rights;
mod routes;
mod rules;
mod second_factor;
mod session;
mod signin;
mod software;
mod spoken;
mod start;
mod texts;
mod totp;
mod views;
mod why;
mod wlan;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use inventory::vault::VaultError;
pub use start::{Handle, StartError, run};
