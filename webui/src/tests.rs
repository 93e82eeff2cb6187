//! The handlers as a browser or a program meets them, on a temporary database with the sample school.

mod api;
mod apple;
mod apps;
mod backups;
mod faults;
mod imports;
mod lessons;
mod live;
mod mail;
mod openapi;
mod pages;
mod people;
mod permissions;
mod portal;
mod rules;
mod second_factor;
mod serving;
mod signin;
mod software;
mod tokens;
mod wlan;
