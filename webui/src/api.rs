//! The JSON API, `/api/v1`. Lists come as `{"items": […], "problems": ["…"]}`: what stands in the second could not be read.
//! Errors come as `{"error": "…", "remedy": "…", "field": "…"}` with the status that fits.

pub(crate) mod exam;
pub(crate) mod gate;
pub(crate) mod imports;
pub(crate) mod read;
pub(crate) mod rules;
pub(crate) mod session;
pub(crate) mod write;
