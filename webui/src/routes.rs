//! Everything that can be called, and who may call it.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use inventory::Portal;

use crate::app::App;
use crate::failure::Failure;
use crate::guard;
use crate::guard::Access::{self, Needs, Public};
use crate::rights::Right::{self, Devices, History, Lessons, Own, People, School};
use crate::{api, live, pages, portal};

/// One thing that can be called.
pub(crate) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "the handler knows it; the tests walk the table"))]
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    handler: MethodRouter<App>,
}

fn route<H: Handler<T, App>, T: 'static>(
    method: Method,
    right: Right,
    path: &'static str,
    handler: H,
) -> Route {
    let filter = match method {
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    };
    Route { method, path, access: Needs(right), handler: on(filter, handler) }
}

fn get<H: Handler<T, App>, T: 'static>(right: Right, path: &'static str, handler: H) -> Route {
    route(Method::GET, right, path, handler)
}

fn post<H: Handler<T, App>, T: 'static>(right: Right, path: &'static str, handler: H) -> Route {
    route(Method::POST, right, path, handler)
}

fn put<H: Handler<T, App>, T: 'static>(right: Right, path: &'static str, handler: H) -> Route {
    route(Method::PUT, right, path, handler)
}

fn delete<H: Handler<T, App>, T: 'static>(right: Right, path: &'static str, handler: H) -> Route {
    route(Method::DELETE, right, path, handler)
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
    use pages::{
        assets, changes, device, devices, exam, images, jobs, lesson, networks, overview, rooms, signin,
        strays, waiting,
    };
    vec![
        get(Own, "/signin", signin::show).public(),
        post(Own, "/signin", signin::sign_in).public(),
        post(Own, "/signout", signin::sign_out).public(),
        post(Own, "/language", signin::language).public(),
        get(Own, "/assets/{file}", assets::file).public(),
        get(Own, "/hausmeister-ca.crt", assets::authority).public(),
        get(Own, "/healthz", assets::health).public(),
        get(Own, Portal::API_PATH, portal::api).public(),
        get(Own, Portal::PAGE_PATH, portal::page).public(),
        get(Own, "/", overview::show),
        get(Own, "/events", live::events),
        get(Devices, "/strays", strays::show),
        get(Devices, "/waiting", waiting::show),
        post(Devices, "/waiting/{id}/approve", waiting::approve),
        post(Devices, "/waiting/{id}/reject", waiting::reject),
        post(Devices, "/waiting/{id}/forget", waiting::forget),
        get(Devices, "/devices", devices::show),
        get(Devices, "/devices/{id}", device::show),
        post(Devices, "/devices/{id}", device::change),
        post(Devices, "/devices/{id}/reservation", device::reserve),
        get(Devices, "/devices/{id}/deploy", device::confirm_deploy),
        post(Devices, "/devices/{id}/deploy", device::deploy),
        get(Devices, "/devices/{id}/capture", device::confirm_capture),
        post(Devices, "/devices/{id}/capture", device::capture),
        get(Devices, "/devices/{id}/delete", device::confirm_delete),
        post(Devices, "/devices/{id}/delete", device::delete),
        get(Devices, "/rooms", rooms::show),
        post(Devices, "/rooms", rooms::create),
        post(Devices, "/rooms/{id}", rooms::rename),
        post(Devices, "/rooms/{id}/delete", rooms::delete),
        get(Devices, "/images", images::show),
        get(Devices, "/images/{id}/delete", images::confirm_delete),
        post(Devices, "/images/{id}/delete", images::delete),
        get(Devices, "/jobs", jobs::show),
        post(Devices, "/jobs/{id}/cancel", jobs::cancel),
        get(School, "/networks", networks::show),
        get(School, "/networks/new", networks::fresh),
        post(School, "/networks/new", networks::create),
        get(School, "/networks/{id}", networks::edit),
        post(School, "/networks/{id}", networks::save),
        post(School, "/networks/{id}/gate", networks::guard),
        post(School, "/rooms/{id}/gate", lesson::set_standing),
        get(School, "/networks/{id}/delete", networks::confirm_delete),
        post(School, "/networks/{id}/delete", networks::delete),
        get(History, "/changes", changes::show),
        get(Lessons, "/room", lesson::my_room),
        get(Lessons, "/room/{id}", lesson::room),
        post(Lessons, "/room/{id}", lesson::set_room),
        get(Lessons, "/classes", lesson::my_classes),
        get(Lessons, "/class/{id}", lesson::class),
        post(Lessons, "/class/{id}", lesson::set_class),
        get(Lessons, "/exams", exam::show),
        post(Lessons, "/exams", exam::begin),
        get(Lessons, "/exams/{id}", exam::exam),
        post(Lessons, "/exams/{id}", exam::change),
        get(Own, "/status", lesson::status),
    ]
}

fn api_routes() -> Vec<Route> {
    use api::{exam, gate, read, session, write};
    vec![
        post(Own, "/api/v1/session", session::begin).public(),
        delete(Own, "/api/v1/session", session::end),
        get(Devices, "/api/v1/devices", read::devices),
        get(Devices, "/api/v1/devices/{id}", read::device),
        get(Devices, "/api/v1/waiting", read::waiting),
        get(Devices, "/api/v1/rooms", read::rooms),
        get(Devices, "/api/v1/images", read::images),
        get(Devices, "/api/v1/jobs", read::jobs),
        get(Devices, "/api/v1/jobs/{id}", read::job),
        get(School, "/api/v1/networks", read::networks),
        get(Devices, "/api/v1/notices", read::notices),
        get(Devices, "/api/v1/strays", read::strays),
        get(History, "/api/v1/changes", read::changes),
        post(Devices, "/api/v1/waiting/{id}/approve", write::approve),
        post(Devices, "/api/v1/waiting/{id}/reject", write::reject),
        delete(Devices, "/api/v1/waiting/{id}", write::forget),
        put(Devices, "/api/v1/devices/{id}", write::change_device),
        delete(Devices, "/api/v1/devices/{id}", write::delete_device),
        post(Devices, "/api/v1/devices/{id}/deploy", write::deploy),
        post(Devices, "/api/v1/devices/{id}/capture", write::capture),
        post(Devices, "/api/v1/devices/{id}/reservation", write::reserve),
        post(Devices, "/api/v1/jobs/{id}/cancel", write::cancel_job),
        post(Devices, "/api/v1/rooms", write::create_room),
        put(Devices, "/api/v1/rooms/{id}", write::rename_room),
        delete(Devices, "/api/v1/rooms/{id}", write::delete_room),
        delete(Devices, "/api/v1/images/{id}", write::delete_image),
        post(School, "/api/v1/networks", write::create_network),
        put(School, "/api/v1/networks/{id}", write::put_network),
        delete(School, "/api/v1/networks/{id}", write::delete_network),
        put(School, "/api/v1/networks/{id}/gate", gate::guard_network),
        put(School, "/api/v1/rooms/{id}/gate", gate::set_room),
        get(Lessons, "/api/v1/gate/rooms/{id}", gate::room),
        post(Lessons, "/api/v1/gate/rooms/{id}", gate::grant_room),
        delete(Lessons, "/api/v1/gate/rooms/{id}", gate::end_room),
        get(Lessons, "/api/v1/gate/groups/{id}", gate::group),
        post(Lessons, "/api/v1/gate/groups/{id}", gate::grant_group),
        delete(Lessons, "/api/v1/gate/groups/{id}", gate::end_group),
        get(Lessons, "/api/v1/gate/devices/{id}", gate::device),
        post(Lessons, "/api/v1/gate/devices/{id}", gate::grant_device),
        delete(Lessons, "/api/v1/gate/devices/{id}", gate::end_device),
        get(Lessons, "/api/v1/exams", exam::all),
        post(Lessons, "/api/v1/exams", exam::begin),
        get(Lessons, "/api/v1/exams/{id}", exam::one),
        put(Lessons, "/api/v1/exams/{id}", exam::prolong),
        delete(Lessons, "/api/v1/exams/{id}", exam::end),
        put(Devices, "/api/v1/devices/{id}/owner", gate::set_owner),
        get(People, "/api/v1/people", gate::people),
        post(People, "/api/v1/people", gate::create_person),
        get(People, "/api/v1/groups", gate::groups),
        post(People, "/api/v1/groups", gate::create_group),
        post(People, "/api/v1/groups/{id}/members", gate::add_members),
    ]
}

/// The router of the table, with the guard around it.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for route in table() {
        let handler = match route.access {
            Public => route.handler,
            Needs(right) => route.handler.layer(from_fn_with_state((app.clone(), right), guard::admit)),
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
