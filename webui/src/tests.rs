//! The handlers as a browser or a program meets them, on a temporary database with the sample school.

mod api;
mod lessons;
mod live;
mod pages;
mod permissions;
mod portal;
mod serving;
mod signin;
