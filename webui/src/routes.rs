//! Everything that can be called, and who may call it.

mod api;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use inventory::Portal;
use schemars::JsonSchema;

use crate::app::App;
use crate::failure::Failure;
use crate::guard;
use crate::guard::Access::{self, Needs, Public};
use crate::guard::Proof;
use crate::openapi::{Doc, Handled, Taken, schema_of};
use crate::rights::Right::{self, Devices, History, Lessons, Own, People, School};
use crate::{live, pages, portal};

/// One thing that can be called.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) proof: Proof,
    /// What its handler takes.
    pub(crate) taken: Taken,
    /// What is said of it; every route of the API has this.
    pub(crate) doc: Option<Doc>,
    handler: MethodRouter<App>,
}

fn route<H: Handler<T, App>, T: Handled + 'static>(
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
    Route {
        method,
        path,
        access: Needs(right),
        proof: Proof { settled: true, fresh: false },
        taken: T::taken(),
        doc: None,
        handler: on(filter, handler),
    }
}

fn get<H: Handler<T, App>, T: Handled + 'static>(right: Right, path: &'static str, handler: H) -> Route {
    route(Method::GET, right, path, handler)
}

fn post<H: Handler<T, App>, T: Handled + 'static>(right: Right, path: &'static str, handler: H) -> Route {
    route(Method::POST, right, path, handler)
}

fn put<H: Handler<T, App>, T: Handled + 'static>(right: Right, path: &'static str, handler: H) -> Route {
    route(Method::PUT, right, path, handler)
}

fn delete<H: Handler<T, App>, T: Handled + 'static>(right: Right, path: &'static str, handler: H) -> Route {
    route(Method::DELETE, right, path, handler)
}

impl Route {
    /// Takes a list of names: more than forms are long.
    fn with_long_body(mut self) -> Self {
        // Escaped in a form, a byte becomes three.
        self.handler =
            self.handler.layer(DefaultBodyLimit::max(3 * inventory::NAMES_BYTES_MAX + BODY_BYTES_MAX));
        self
    }

    /// Takes a file.
    fn with_file(mut self) -> Self {
        self.handler = self.handler.layer(DefaultBodyLimit::max(pages::import::UPLOAD_BYTES_MAX));
        self
    }

    /// Takes a file of any size, piece by piece; the handler bounds it.
    fn with_large_file(mut self) -> Self {
        self.handler = self.handler.layer(DefaultBodyLimit::disable());
        self
    }

    fn public(mut self) -> Self {
        self.access = Public;
        self
    }

    /// Open also to those who have yet to put their sign-in in order.
    fn for_all(mut self) -> Self {
        self.proof.settled = false;
        self
    }

    /// Only for a person who gave the password a moment ago.
    fn fresh(mut self) -> Self {
        self.proof.fresh = true;
        self
    }

    /// What it does, in German and English. Answers 204 unless something else is said.
    fn says(mut self, de: &'static str, en: &'static str) -> Self {
        self.doc = Some(Doc { summary: (de, en), query: &[], status: 204, answer: None });
        self
    }

    /// What it answers.
    fn gives<T: JsonSchema>(self) -> Self {
        self.answers::<T>(200)
    }

    /// What it answers about something that was added.
    fn creates<T: JsonSchema>(self) -> Self {
        self.answers::<T>(201)
    }

    fn answers<T: JsonSchema>(mut self, status: u16) -> Self {
        self.doc = self.doc.map(|doc| Doc { status, answer: Some(schema_of::<T>), ..doc });
        self
    }

    /// What can be asked in the query.
    fn asks(mut self, query: &'static [&'static str]) -> Self {
        self.doc = self.doc.map(|doc| Doc { query, ..doc });
        self
    }
}

/// The table.
pub(crate) fn table() -> Vec<Route> {
    let mut routes = page_routes();
    routes.extend(api::routes());
    routes
}

fn page_routes() -> Vec<Route> {
    use pages::{
        apple, apps, assets, backups, changes, described, device, devices, drift, exam, faults, grid, groups,
        images, import, ipad_rules, ipads, jobs, lesson, lists, mail, networks, night, overview, own, people,
        person, pupils, rooms, rules, signin, software, strays, tokens, waiting, wlan,
    };
    vec![
        get(Own, "/signin", signin::show).public(),
        post(Own, "/signin", signin::sign_in).public(),
        get(Own, "/signin/code", signin::show_code).public(),
        post(Own, "/signin/code", signin::sign_in_code).public(),
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
        post(Devices, "/devices/{id}/power", device::power),
        get(Devices, "/devices/{id}/deploy", device::confirm_deploy),
        post(Devices, "/devices/{id}/deploy", device::deploy),
        get(Devices, "/devices/{id}/capture", device::confirm_capture),
        post(Devices, "/devices/{id}/capture", device::capture),
        get(Devices, "/devices/{id}/delete", device::confirm_delete),
        post(Devices, "/devices/{id}/delete", device::delete),
        get(School, "/apple", apple::show),
        post(School, "/apple/push/request", apple::push::ask).fresh(),
        get(School, "/apple/push/request", apple::push::request),
        post(School, "/apple/push/import", apple::push::import).fresh(),
        post(School, "/apple/push/forget", apple::push::forget).fresh(),
        post(School, "/apple/ade/request", apple::ade::ask).fresh(),
        get(School, "/apple/ade/request", apple::ade::request),
        post(School, "/apple/ade/import", apple::ade::import).fresh(),
        post(School, "/apple/ade/forget", apple::ade::forget).fresh(),
        post(School, "/apple/ade/settings", apple::set),
        post(School, "/apple/ade/place", apple::place),
        get(Devices, "/ipads", ipads::list),
        post(Devices, "/ipads/invitations", ipads::invite),
        post(Devices, "/ipads/invitations/{id}/delete", ipads::uninvite),
        get(School, "/ipads/rules", ipad_rules::list),
        get(School, "/ipads/rules/new", ipad_rules::fresh),
        post(School, "/ipads/rules", ipad_rules::create),
        get(School, "/ipads/rules/{id}", ipad_rules::show),
        post(School, "/ipads/rules/{id}", ipad_rules::save),
        post(School, "/ipads/rules/{id}/delete", ipad_rules::delete),
        get(Devices, "/ipads/{id}/rules", ipad_rules::holding),
        get(Devices, "/ipads/{id}", ipads::show),
        post(Devices, "/ipads/{id}/ask", ipads::ask),
        post(Devices, "/ipads/{id}/insist", ipads::insist).fresh(),
        post(Devices, "/ipads/{id}/cancel", ipads::cancel),
        get(Devices, "/apps", apps::list),
        post(School, "/apps/token", apps::import).fresh(),
        post(Devices, "/apps/sync", apps::sync),
        post(School, "/apps/take-over", apps::take_over).fresh(),
        get(Devices, "/apps/{id}", apps::show),
        post(Devices, "/apps/{id}/give", apps::give),
        post(Devices, "/apps/{id}/take-back", apps::take_back),
        post(Devices, "/apps/{id}/configuration", apps::configure),
        get(Devices, "/software", software::list),
        post(School, "/software/upload", software::upload).with_large_file(),
        get(School, "/software/new", software::fresh),
        post(School, "/software", software::create).fresh(),
        get(Devices, "/software/{id}", software::show),
        post(Devices, "/software/{id}/assign", software::assign),
        post(Devices, "/software/{id}/take-back", software::take_back),
        post(Devices, "/software/{id}/retry", software::retry),
        post(School, "/software/{id}/remove", software::remove),
        get(Devices, "/rooms", rooms::show),
        post(Devices, "/rooms", rooms::create),
        post(Devices, "/rooms/{id}", rooms::rename),
        post(Devices, "/rooms/{id}/power", rooms::power),
        get(Devices, "/night", night::show),
        get(Devices, "/drift", drift::show),
        post(Devices, "/rooms/{id}/night", night::save),
        post(Devices, "/rooms/{id}/night/rest", night::rest),
        post(Devices, "/rooms/{id}/delete", rooms::delete),
        get(Devices, "/images", images::show),
        get(Devices, "/images/{id}/delete", images::confirm_delete),
        post(Devices, "/images/{id}/delete", images::delete),
        get(Devices, "/jobs", jobs::show),
        post(Devices, "/jobs/{id}/cancel", jobs::cancel),
        get(People, "/import/people", import::people::start),
        post(People, "/import/people", import::people::upload).with_file(),
        get(People, "/import/people/{id}", import::people::show),
        post(People, "/import/people/{id}/apply", import::people::apply),
        post(People, "/import/people/{id}/forget", import::people::forget),
        post(People, "/import/people/{id}/undo", import::people::undo),
        get(People, "/import/people/{id}/passwords", import::passwords),
        get(Devices, "/import/devices", import::devices::start),
        post(Devices, "/import/devices", import::devices::upload).with_file(),
        get(Devices, "/import/devices/{id}", import::devices::show),
        post(Devices, "/import/devices/{id}/apply", import::devices::apply),
        post(Devices, "/import/devices/{id}/forget", import::devices::forget),
        post(Devices, "/import/devices/{id}/undo", import::devices::undo),
        get(School, "/networks", networks::show),
        get(School, "/networks/new", networks::fresh),
        post(School, "/networks/new", networks::create),
        get(School, "/networks/{id}", networks::edit),
        post(School, "/networks/{id}", networks::save),
        post(School, "/networks/{id}/gate", networks::guard),
        post(School, "/rooms/{id}/gate", lesson::set_standing),
        get(School, "/networks/{id}/delete", networks::confirm_delete),
        post(School, "/networks/{id}/delete", networks::delete),
        get(School, "/rules", rules::show),
        post(School, "/rules/lock", rules::lock),
        post(School, "/rules/{id}/end", rules::end),
        post(School, "/rules/timetable", rules::add_slot),
        post(School, "/rules/timetable/{id}/delete", rules::delete_slot),
        get(School, "/lists/{id}", lists::list),
        post(School, "/lists/{id}", lists::save_list).with_long_body(),
        get(School, "/lists/{id}/delete", lists::confirm_delete_list),
        post(School, "/lists/{id}/delete", lists::delete_list),
        get(School, "/filters/{id}", lists::filter),
        post(School, "/filters/{id}", lists::save_filter),
        get(School, "/filters/{id}/delete", lists::confirm_delete_filter),
        post(School, "/filters/{id}/delete", lists::delete_filter),
        get(School, "/lesson-times", grid::show),
        post(School, "/lesson-times", grid::save),
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
        get(Lessons, "/class/{id}/pupils", pupils::show),
        post(Lessons, "/class/{id}/pupils", pupils::reset),
        get(People, "/people", people::show),
        post(People, "/people", people::add),
        get(People, "/people/{id}", person::show),
        post(People, "/people/{id}", person::rename),
        post(People, "/people/{id}/role", person::set_role).fresh(),
        post(People, "/people/{id}/password", person::reset).fresh(),
        post(People, "/people/{id}/second-factor", person::clear_second_factor).fresh(),
        post(People, "/people/{id}/groups", person::join),
        get(People, "/people/{id}/delete", person::confirm_delete),
        post(People, "/people/{id}/delete", person::delete),
        get(People, "/groups", groups::list),
        post(People, "/groups", groups::create),
        get(People, "/groups/{id}", groups::show),
        post(People, "/groups/{id}", groups::rename),
        post(People, "/groups/{id}/members", groups::change_members),
        post(School, "/groups/{id}/gate", groups::set_gate),
        get(People, "/groups/{id}/delete", groups::confirm_delete),
        post(People, "/groups/{id}/delete", groups::delete),
        get(Own, "/password", own::show).for_all(),
        post(Own, "/password", own::change).for_all(),
        get(Own, "/password/second-factor", own::enrol).for_all(),
        post(Own, "/password/second-factor", own::confirm).for_all().fresh(),
        post(Own, "/password/second-factor/clear", own::clear).fresh(),
        get(Lessons, "/report", faults::form),
        post(Lessons, "/report", faults::report),
        get(Devices, "/faults", faults::list),
        post(Devices, "/faults/{id}", faults::answer),
        get(School, "/backups", backups::show),
        post(School, "/backups", backups::back_up),
        post(School, "/backups/drill", backups::drill),
        get(School, "/backups/{id}", backups::preview),
        post(School, "/backups/{id}", backups::restore).fresh(),
        get(School, "/mail", mail::show),
        post(School, "/mail", mail::save).fresh(),
        post(School, "/mail/test", mail::test),
        get(School, "/tokens", tokens::show),
        post(School, "/tokens", tokens::create).fresh(),
        post(School, "/tokens/{id}/delete", tokens::delete),
        get(School, "/wlan", wlan::show),
        post(School, "/wlan", wlan::save),
        post(School, "/wlan/rules", wlan::add_rule),
        post(School, "/wlan/rules/change", wlan::change_rule),
        post(School, "/wlan/stations/forget", wlan::forget),
        get(School, "/wlan/access-points", wlan::access_points),
        post(School, "/wlan/access-points", wlan::add_access_point),
        post(School, "/wlan/access-points/{id}", wlan::change_access_point),
        post(School, "/wlan/access-points/{id}/delete", wlan::delete_access_point),
        post(School, "/wlan/access-points/{id}/secret", wlan::secret).fresh(),
        get(Lessons, "/wlan/vouchers", wlan::vouchers),
        post(Lessons, "/wlan/vouchers", wlan::make_voucher),
        post(Lessons, "/wlan/vouchers/{id}/end", wlan::end_voucher),
        post(Devices, "/devices/{id}/wlan-key", wlan::device_key).fresh(),
        get(Own, "/my/wlan", wlan::own),
        get(Own, "/my/wlan/apple", wlan::apple),
        get(Own, "/my/wlan/windows", wlan::windows),
        post(Own, "/my/wlan/password", wlan::own_password).fresh(),
        post(Own, "/my/wlan/forget", wlan::own_forget),
        get(Own, "/api", described::show),
    ]
}

/// The router of the table, with the guard around it.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for route in table() {
        let handler = match route.access {
            Public => route.handler,
            Needs(right) => {
                route.handler.layer(from_fn_with_state((app.clone(), right, route.proof), guard::admit))
            }
        };
        router = router.route(route.path, handler);
    }
    router
        .fallback(async || Failure::NoPage)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(app.clone(), guard::around))
        .with_state(app)
}

/// Largest request body: forms and small JSON, files have a limit of their own.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
