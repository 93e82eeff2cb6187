//! The description of the API: complete, well formed, and true.

use std::collections::HashSet;

use axum::http::{Method, StatusCode};
use serde_json::Value;

use crate::guard::Access;
use crate::openapi::document;
use crate::rights::Right;
use crate::routes;
use crate::testing::Desk;
use crate::tests::permissions::path;

fn operation<'d>(document: &'d Value, method: &Method, path: &str) -> &'d Value {
    &document["paths"][path][method.as_str().to_ascii_lowercase()]
}

#[test]
fn every_route_of_the_api_is_described_and_no_other() {
    let document = document(&routes::table());
    let mut described = 0;
    let mut ids = HashSet::new();
    for route in routes::table() {
        let what = format!("{} {}", route.method, route.path);
        let operation = operation(&document, &route.method, route.path);
        if !route.path.starts_with("/api/v1/") {
            assert!(operation.is_null() && route.doc.is_none(), "{what} is a page");
            continue;
        }
        described += 1;
        let (de, en) = route.doc.unwrap_or_else(|| panic!("{what} says nothing")).summary;
        assert!(de.len() > 5 && operation["summary"] == en && (de != en), "{what}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{what}");
        assert_eq!(route.path.contains("{id}"), operation["parameters"][0]["in"] == "path", "{what}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.len() == 2 && answers.contains_key("default"), "{what}");
        let writes = matches!(route.method, Method::PUT);
        assert!(
            !writes || operation["requestBody"]["content"]["application/json"]["schema"].is_object(),
            "{what}"
        );
        match route.access {
            Access::Public => assert_eq!(operation["security"], serde_json::json!([]), "{what}"),
            Access::Needs(right) => {
                assert_eq!(operation["tags"][0], right.text(), "{what}");
                let by_token =
                    operation["security"].as_array().unwrap().iter().any(|way| !way["token"].is_null());
                assert_eq!(by_token, right != Right::Own && !route.proof.fresh, "{what}");
            }
        }
    }
    let methods = document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len());
    assert_eq!(methods.sum::<usize>(), described);
}

#[test]
fn the_description_is_openapi_3_1_and_every_reference_leads_somewhere() {
    let document = document(&routes::table());
    let spec = oas3::from_json(document.to_string()).unwrap();
    assert!(spec.validate_version().is_ok());
    assert_eq!(spec.operations().count(), routes::table().iter().filter(|route| route.doc.is_some()).count());
    let mut found = 0;
    check_references(&document, &document, &mut found);
    assert!(found > 40, "{found}");
    let body = &operation(&document, &Method::POST, "/api/v1/tokens")["requestBody"]["content"];
    let name = body["application/json"]["schema"]["$ref"].as_str().unwrap();
    let schema = document.pointer(name.trim_start_matches('#')).unwrap();
    assert_eq!(schema["required"], serde_json::json!(["name", "scopes", "expires_at"]));
    assert_eq!(schema["additionalProperties"], false);
}

fn check_references(document: &Value, at: &Value, found: &mut usize) {
    match at {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                *found += 1;
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            fields.values().for_each(|value| check_references(document, value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| check_references(document, value, found)),
        _ => {}
    }
}

/// What reading routes answer is what the description says.
#[tokio::test]
async fn answers_have_the_fields_that_are_described() {
    let desk = Desk::new().await;
    let document = desk.get("/api/v1/openapi.json").await.json();
    let mut checked = 0;
    for route in routes::table().into_iter().filter(|r| r.doc.is_some() && r.method == Method::GET) {
        let content = &operation(&document, &route.method, route.path)["responses"]["200"]["content"];
        let schema = &content["application/json"]["schema"];
        if schema["$ref"].is_null() {
            continue;
        }
        let got = desk.get(&path(&desk, &route)).await;
        assert_eq!(got.status, StatusCode::OK, "{}", route.path);
        check_value(&document, schema, &got.json(), route.path);
        checked += 1;
    }
    assert!(checked >= 15, "{checked}");
}

/// The part of JSON Schema that our types use: references, objects, lists, and what may be null.
fn check_value(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return check_value(
            document,
            document.pointer(reference.trim_start_matches('#')).unwrap(),
            value,
            at,
        );
    }
    if let Some(ways) = schema["anyOf"].as_array() {
        let other = ways.iter().find(|way| way["type"] != "null").unwrap();
        if !value.is_null() {
            check_value(document, other, value, at);
        }
        return;
    }
    if let (Some(properties), Some(fields)) = (schema["properties"].as_object(), value.as_object()) {
        for (name, field) in fields {
            let property = properties.get(name).unwrap_or_else(|| panic!("{at}.{name} is not described"));
            check_value(document, property, field, &format!("{at}.{name}"));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(fields.contains_key(name.as_str().unwrap()), "{at} lacks {name}");
        }
    }
    if let (Some(_), Some(items)) = (schema["items"].as_object(), value.as_array()) {
        items.iter().for_each(|item| check_value(document, &schema["items"], item, at));
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{at} is a {kind}, not one of {kinds:?}");
}
