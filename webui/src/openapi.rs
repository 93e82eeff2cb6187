//! The description of the API (OpenAPI 3.1), made from the table of routes.
//!
//! What a route takes is read off its handler's own signature: a body or an id that the handler extracts is described by the schema of
//! that very type. So the description cannot say anything else than the program does.

use axum::body::Bytes;
use axum::extract::{Multipart, Path, Request, State};
use axum::http::{HeaderMap, Method};
use axum::{Extension, Json};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::fields::{Asked, Body, Fields, Id};
use crate::guard::{Access, ErrorJson};
use crate::imports::Upload;
use crate::page::Visit;
use crate::rights::Right;
use crate::routes::{self, Route};

/// Makes a type's schema.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a route takes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) id: Option<SchemaOf>,
    pub(crate) body: Option<SchemaOf>,
}

/// What an extractor takes of the request, as far as the description tells.
pub(crate) trait Part {
    fn taken() -> Taken {
        Taken::default()
    }
}

impl<T: JsonSchema> Part for Body<T> {
    fn taken() -> Taken {
        Taken { body: Some(schema_of::<T>), ..Taken::default() }
    }
}

impl<T: JsonSchema> Part for Id<T> {
    fn taken() -> Taken {
        Taken { id: Some(schema_of::<T>), ..Taken::default() }
    }
}

impl Part for () {}
impl<T> Part for State<T> {}
impl<T> Part for Extension<T> {}
impl<T> Part for Path<T> {}
impl Part for Visit {}
impl Part for Fields {}
impl Part for Asked {}
impl Part for HeaderMap {}
impl Part for Bytes {}
impl Part for Multipart {}
impl Part for Request {}
impl Part for Upload {}

/// The extractors of a handler, as axum's `Handler` names them.
pub(crate) trait Handled {
    fn taken() -> Taken;
}

impl Handled for ((),) {
    fn taken() -> Taken {
        Taken::default()
    }
}

macro_rules! handled {
    ($($part:ident)+) => {
        impl<M, $($part: Part),+> Handled for (M, $($part,)+) {
            fn taken() -> Taken {
                let mut all = Taken::default();
                $(
                    let part = $part::taken();
                    all.id = all.id.or(part.id);
                    all.body = all.body.or(part.body);
                )+
                all
            }
        }
    };
}
handled!(A);
handled!(A B);
handled!(A B C);
handled!(A B C D);
handled!(A B C D E);
handled!(A B C D E F);
handled!(A B C D E F G);

/// What the description says of a route beside what it takes.
#[derive(Clone, Copy)]
pub(crate) struct Doc {
    /// In German and English.
    pub(crate) summary: (&'static str, &'static str),
    /// Parameters of the query.
    pub(crate) query: &'static [&'static str],
    pub(crate) status: u16,
    pub(crate) answer: Option<SchemaOf>,
}

pub(crate) fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// `GET /api/v1/openapi.json`
pub(crate) async fn show() -> Json<Value> {
    Json(document(&routes::table()))
}

/// The description of those routes that are the API's.
pub(crate) fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.definitions_path = SCHEMAS.into());
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let Some(doc) = route.doc else { continue };
        let operation = operation(route, &doc, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    let error = schema_of::<ErrorJson>(&mut generator);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hausmeister",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Everything that the pages can do. Instants are milliseconds since 1970 UTC. Lists come with the rows that could not be read as `problems`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": { "Refused": {
                "description": "Why the request fails, and what to do.",
                "content": { "application/json": { "schema": error } },
            } },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "A token of the page Tokens: `hm_…`." },
                "session": { "type": "apiKey", "in": "cookie", "name": crate::session::COOKIE, "description": "Set by POST /api/v1/session." },
            },
        },
    })
}

fn operation(route: &Route, doc: &Doc, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": operation_id(&route.method, route.path),
        "summary": doc.summary.1,
        "security": security(route),
        "responses": {
            doc.status.to_string(): answer(doc, generator),
            "default": { "$ref": "#/components/responses/Refused" },
        },
    });
    let Some(fields) = operation.as_object_mut() else { return operation };
    if let Access::Needs(right) = route.access {
        fields.insert("tags".into(), json!([right.text()]));
    }
    let mut parameters: Vec<Value> = Vec::new();
    if let Some(id) = route.taken.id {
        parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": id(generator) }));
    }
    parameters.extend(
        doc.query.iter().map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } })),
    );
    if !parameters.is_empty() {
        fields.insert("parameters".into(), parameters.into());
    }
    if let Some(body) = route.taken.body {
        let content = json!({ "application/json": { "schema": body(generator) } });
        fields.insert("requestBody".into(), json!({ "required": true, "content": content }));
    }
    operation
}

fn answer(doc: &Doc, generator: &mut SchemaGenerator) -> Value {
    match doc.answer {
        Some(schema) => {
            json!({ "description": "Done.", "content": { "application/json": { "schema": schema(generator) } } })
        }
        None => json!({ "description": "Done." }),
    }
}

/// Who may call it: a session, and a token with the scope, unless the route needs a person.
fn security(route: &Route) -> Value {
    match (route.access, scope(route)) {
        (Access::Public, _) => json!([]),
        (Access::Needs(_), Some(scope)) => json!([{ "session": [] }, { "token": [scope] }]),
        (Access::Needs(_), None) => json!([{ "session": [] }]),
    }
}

/// The scope that a token needs for a route; `None` if no token may call it.
pub(crate) fn scope(route: &Route) -> Option<String> {
    let Access::Needs(right) = route.access else { return None };
    let reach = if route.method == Method::GET { "read" } else { "write" };
    (right != Right::Own && !route.proof.fresh).then(|| format!("{}:{reach}", right.text()))
}

/// For example `put_devices_id_owner`.
fn operation_id(method: &Method, path: &str) -> String {
    let words = path.trim_start_matches("/api/v1/").split('/').map(|word| word.trim_matches(['{', '}']));
    let mut id = method.as_str().to_ascii_lowercase();
    for word in words {
        id.push('_');
        id.extend(word.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
    }
    id
}

const SCHEMAS: &str = "/components/schemas";
