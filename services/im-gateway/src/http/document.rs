//! The OpenAPI document, made of the same list as the router.
//!
//! What every endpoint has in common is added here and not written at each handler: a description
//! of every answer, the refusals that middleware and extractors give, unique names of operations.

use http::StatusCode;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Info, OpenApi, Ref, RefOr, Response, ResponseBuilder, Server};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::reply::ErrorBody;
use super::{ALIASES, api, system};

const DESCRIPTION: &str = "HTTP API of im-gateway. Every success is `{success, message, data}`, every \
    refusal `{success, message, code, traceId, details}`. Ids are decimal text, times are Unix seconds, \
    order is by seqId. A body is one JSON object: `null` for an optional field means that the field is \
    absent unless the field's description says otherwise, unknown fields are skipped, a field that stands there twice or has another type is refused \
    with its name. An empty query value means that the parameter is absent. Live messages come over the \
    WebSocket `/ws`.";

/// Refusals that any endpoint may give.
const ALWAYS: [u16; 5] = [400, 429, 500, 503, 504];

/// Returns the whole document.
pub(super) fn document() -> OpenApi {
    let mut document = OpenApi::new(
        Info::new("GoChat", env!("CARGO_PKG_VERSION")),
        utoipa::openapi::Paths::new(),
    );
    document.info.description = Some(DESCRIPTION.to_owned());
    document.servers = Some(vec![Server::new("/api")]);
    document.merge(api().into_openapi());
    let mut beside = system().into_openapi();
    for item in beside.paths.paths.values_mut() {
        item.servers = Some(vec![Server::new("/")]);
    }
    document.merge(beside);
    let components = document.components.get_or_insert_with(Default::default);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let name = ErrorBody::name().into_owned();
    components.schemas.insert(name, ErrorBody::schema());
    let mut nested = Vec::new();
    ErrorBody::schemas(&mut nested);
    components.schemas.extend(nested);
    for (path, item) in &mut document.paths.paths {
        let has_id = path.contains('{');
        for (method, operation) in operations(item) {
            complete(operation, method, has_id);
        }
    }
    for (alias, path) in ALIASES {
        if let Some(mut item) = document.paths.paths.get(path).cloned() {
            for (_, operation) in operations(&mut item) {
                operation.deprecated = Some(utoipa::openapi::Deprecated::True);
                operation.summary = Some(format!("Another name of `{path}`."));
                operation.operation_id = operation.operation_id.take().map(|id| id + "_alias");
            }
            document.paths.paths.insert(alias.to_owned(), item);
        }
    }
    document
}

/// The operations of a path, with their methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem {
        get,
        put,
        post,
        delete,
        ..
    } = item;
    [
        ("get", get),
        ("put", put),
        ("post", post),
        ("delete", delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Adds what all operations have in common.
fn complete(operation: &mut Operation, method: &str, has_id: bool) {
    let tag = operation.tags.as_ref().and_then(|tags| tags.first());
    let tag = tag.map_or("system", String::as_str).to_owned();
    operation.operation_id = operation
        .operation_id
        .take()
        .map(|name| format!("{tag}_{name}"));
    let is_system = tag == "health";
    let mut refusals: Vec<u16> = Vec::new();
    if !is_system {
        refusals.extend(ALWAYS);
    }
    if operation.security.is_some() {
        refusals.extend([401, 403]);
    }
    if has_id || (operation.security.is_some() && method != "get") {
        refusals.push(404);
    }
    if operation.security.is_some() && method != "get" {
        refusals.push(409);
    }
    if operation.request_body.is_some() {
        refusals.push(413);
    }
    let responses = &mut operation.responses.responses;
    for status in refusals {
        let known = responses.entry(status.to_string());
        known.or_insert_with(|| RefOr::T(refusal(sentence(status))));
    }
    if !is_system {
        let other = refusal("Another refusal");
        responses
            .entry("default".to_owned())
            .or_insert(RefOr::T(other));
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let status = status.parse().unwrap_or_default();
            sentence(status).clone_into(&mut response.description);
        }
    }
}

fn sentence(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Answer")
}

fn refusal(description: &str) -> Response {
    let schema = Ref::from_schema_name(ErrorBody::name());
    ResponseBuilder::new()
        .description(description)
        .content("application/json", Content::new(Some(schema)))
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_has_its_own_name_and_every_answer_a_description() {
        let mut document = document();
        let mut names = BTreeSet::new();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                let name = operation.operation_id.clone().expect(path);
                assert!(
                    names.insert(name.clone()),
                    "{method} {path}: {name} is taken"
                );
                assert!(operation.summary.is_some(), "{method} {path}");
                for (status, response) in &operation.responses.responses {
                    let RefOr::T(response) = response else {
                        continue;
                    };
                    assert!(
                        !response.description.is_empty(),
                        "{method} {path}: {status}"
                    );
                }
            }
        }
        assert!(names.len() >= 29, "{names:?}");
    }

    #[test]
    fn references_lead_somewhere() {
        let text = serde_json::to_string(&document()).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        for part in text.split("\"#/").skip(1) {
            let pointer = format!("/{}", part.split('"').next().unwrap());
            assert!(document.pointer(&pointer).is_some(), "{pointer}");
        }
        assert!(document["components"]["schemas"]["Message"]["properties"]["seqId"].is_object());
    }
}
