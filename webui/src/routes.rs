//! Everything that can be called, and who may call it.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::app::App;
use crate::failure::Failure;
use crate::guard::Access::{Admin, Public};
use crate::guard::{self, Access};
use crate::{api, live, pages};

/// One thing that can be called.
pub(crate) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "the handler knows it; the tests walk the table"))]
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    handler: MethodRouter<App>,
}

fn get<H: Handler<T, App>, T: 'static>(access: Access, path: &'static str, handler: H) -> Route {
    Route { method: Method::GET, path, access, handler: on(MethodFilter::GET, handler) }
}

fn post<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route { method: Method::POST, path, access: Admin, handler: on(MethodFilter::POST, handler) }
}

fn put<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route { method: Method::PUT, path, access: Admin, handler: on(MethodFilter::PUT, handler) }
}

fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route { method: Method::DELETE, path, access: Admin, handler: on(MethodFilter::DELETE, handler) }
}

impl Route {
    fn public(mut self) -> Self {
        self.access = Public;
        self
    }
}

/// The table.
pub(crate) fn table() -> Vec<Route> {
    let mut routes = page_routes();
    routes.extend(api_routes());
    routes
}

fn page_routes() -> Vec<Route> {
    use pages::{assets, changes, device, devices, images, jobs, networks, overview, rooms, signin, waiting};
    vec![
        get(Public, "/signin", signin::show),
        post("/signin", signin::sign_in).public(),
        post("/signout", signin::sign_out).public(),
        post("/language", signin::language).public(),
        get(Public, "/assets/{file}", assets::file),
        get(Public, "/hausmeister-ca.crt", assets::authority),
        get(Public, "/healthz", assets::health),
        get(Admin, "/", overview::show),
        get(Admin, "/events", live::events),
        get(Admin, "/waiting", waiting::show),
        post("/waiting/{id}/approve", waiting::approve),
        post("/waiting/{id}/reject", waiting::reject),
        post("/waiting/{id}/forget", waiting::forget),
        get(Admin, "/devices", devices::show),
        get(Admin, "/devices/{id}", device::show),
        post("/devices/{id}", device::change),
        post("/devices/{id}/reservation", device::reserve),
        get(Admin, "/devices/{id}/deploy", device::confirm_deploy),
        post("/devices/{id}/deploy", device::deploy),
        get(Admin, "/devices/{id}/capture", device::confirm_capture),
        post("/devices/{id}/capture", device::capture),
        get(Admin, "/devices/{id}/delete", device::confirm_delete),
        post("/devices/{id}/delete", device::delete),
        get(Admin, "/rooms", rooms::show),
        post("/rooms", rooms::create),
        post("/rooms/{id}", rooms::rename),
        post("/rooms/{id}/delete", rooms::delete),
        get(Admin, "/images", images::show),
        get(Admin, "/images/{id}/delete", images::confirm_delete),
        post("/images/{id}/delete", images::delete),
        get(Admin, "/jobs", jobs::show),
        post("/jobs/{id}/cancel", jobs::cancel),
        get(Admin, "/networks", networks::show),
        get(Admin, "/networks/new", networks::fresh),
        post("/networks/new", networks::create),
        get(Admin, "/networks/{id}", networks::edit),
        post("/networks/{id}", networks::save),
        get(Admin, "/networks/{id}/delete", networks::confirm_delete),
        post("/networks/{id}/delete", networks::delete),
        get(Admin, "/changes", changes::show),
    ]
}

fn api_routes() -> Vec<Route> {
    use api::{read, session, write};
    vec![
        post("/api/v1/session", session::begin).public(),
        delete("/api/v1/session", session::end),
        get(Admin, "/api/v1/devices", read::devices),
        get(Admin, "/api/v1/devices/{id}", read::device),
        get(Admin, "/api/v1/waiting", read::waiting),
        get(Admin, "/api/v1/rooms", read::rooms),
        get(Admin, "/api/v1/images", read::images),
        get(Admin, "/api/v1/jobs", read::jobs),
        get(Admin, "/api/v1/jobs/{id}", read::job),
        get(Admin, "/api/v1/networks", read::networks),
        get(Admin, "/api/v1/notices", read::notices),
        get(Admin, "/api/v1/changes", read::changes),
        post("/api/v1/waiting/{id}/approve", write::approve),
        post("/api/v1/waiting/{id}/reject", write::reject),
        delete("/api/v1/waiting/{id}", write::forget),
        put("/api/v1/devices/{id}", write::change_device),
        delete("/api/v1/devices/{id}", write::delete_device),
        post("/api/v1/devices/{id}/deploy", write::deploy),
        post("/api/v1/devices/{id}/capture", write::capture),
        post("/api/v1/devices/{id}/reservation", write::reserve),
        post("/api/v1/jobs/{id}/cancel", write::cancel_job),
        post("/api/v1/rooms", write::create_room),
        put("/api/v1/rooms/{id}", write::rename_room),
        delete("/api/v1/rooms/{id}", write::delete_room),
        delete("/api/v1/images/{id}", write::delete_image),
        post("/api/v1/networks", write::create_network),
        put("/api/v1/networks/{id}", write::put_network),
        delete("/api/v1/networks/{id}", write::delete_network),
    ]
}

/// The router of the table, with the guard around it.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for route in table() {
        let handler = match route.access {
            Public => route.handler,
            access => route.handler.layer(from_fn_with_state((app.clone(), access), guard::admit)),
        };
        router = router.route(route.path, handler);
    }
    router
        .fallback(async || Failure::NoPage)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(app.clone(), guard::around))
        .with_state(app)
}

/// Largest request body: forms and small JSON, no files.
const BODY_BYTES_MAX: usize = 64 * 1024;
