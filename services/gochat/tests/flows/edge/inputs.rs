//! The input rules, at every field of every endpoint: the table is the served document itself, so
//! that an endpoint that is added later is tested without another line.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::kit::{Server, User};

/// The document, with references looked up.
struct Document(Value);

impl Document {
    async fn of(server: &Server) -> Self {
        let http = server.http();
        Self(http.raw("GET", "/api/openapi.json", &[], Bytes::new()).await.body)
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(pointer) => self.0.pointer(&pointer[1..]).expect(pointer),
            None => schema,
        }
    }

    /// The JSON types that a schema takes; `any` when it names none.
    fn types(&self, schema: &Value) -> Vec<String> {
        let schema = self.resolved(schema);
        for word in ["oneOf", "anyOf"] {
            if let Some(parts) = schema[word].as_array() {
                return parts.iter().flat_map(|part| self.types(part)).collect();
            }
        }
        match &schema["type"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(many) => many.iter().map(|t| t.as_str().unwrap().to_owned()).collect(),
            _ => vec!["any".to_owned()],
        }
    }

    /// Method, path and operation of every endpoint below `/api`.
    fn operations(&self) -> Vec<(String, String, &Value)> {
        let mut found = Vec::new();
        for (path, item) in self.0["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if path != "/health" && operation.is_object() {
                    found.push((method.to_uppercase(), filled(path), operation));
                }
            }
        }
        assert!(found.len() > 25, "{} operations", found.len());
        found
    }

    /// The schema of the body, unless there is none.
    fn body<'a>(&'a self, operation: &'a Value) -> Option<&'a Value> {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let parts = schema["oneOf"].as_array();
        let object = parts.and_then(|p| p.iter().find(|part| part.get("$ref").is_some()));
        let schema = self.resolved(object.unwrap_or(schema));
        schema["properties"].is_object().then_some(schema)
    }

    /// A body with every required field, each of a right type.
    fn least(&self, schema: &Value) -> Map<String, Value> {
        let mut body = Map::new();
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            let types = self.types(&schema["properties"][name]);
            body.insert(name.to_owned(), example(&types[0]));
        }
        body
    }
}

/// A path with ids that name nothing that anybody would miss.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{conversationId}" => "g_7",
        part if part.starts_with('{') => "7",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn example(kind: &str) -> Value {
    match kind {
        "string" => json!("7"),
        "integer" | "number" => json!(1),
        "boolean" => json!(true),
        "array" => json!([]),
        "object" => json!({}),
        _ => Value::Null,
    }
}

/// Sends a request as a user who may be lost: some endpoints end the session.
async fn send(user: &User, method: &str, path: &str, body: &Value) -> (u16, String) {
    let reply = user.call(method, path, Some(body.clone())).await;
    let message = reply.body["message"].as_str().unwrap_or_default();
    (reply.status, message.to_owned())
}

#[tokio::test]
async fn a_value_of_another_type_is_refused_with_the_name_of_its_field() {
    let server = Server::shared().await;
    let document = Document::of(&server).await;
    let user = server.user().await;
    let mut fields = 0;
    for (method, path, operation) in document.operations() {
        let Some(schema) = document.body(operation) else {
            continue;
        };
        for (name, property) in schema["properties"].as_object().unwrap() {
            let types = document.types(property);
            if types.iter().any(|t| t == "any") {
                continue;
            }
            for kind in ["null", "string", "integer", "boolean", "array", "object"] {
                if types.iter().any(|t| t == kind) {
                    continue;
                }
                let mut body = document.least(schema);
                body.insert(name.clone(), example(kind));
                let (status, message) = send(&user, &method, &path, &json!(body)).await;
                assert_eq!(status, 400, "{method} {path} {}: {message}", json!(body));
                assert!(message.contains(&format!("`{name}")), "{method} {path}: {message}");
                fields += 1;
            }
        }
        for required in document.least(schema).keys() {
            let mut body = document.least(schema);
            body.remove(required);
            let (status, message) = send(&user, &method, &path, &json!(body)).await;
            assert_eq!(status, 400, "{method} {path} without {required}: {message}");
            assert!(message.contains(&format!("`{required}`")), "{method} {path}: {message}");
        }
        for other in [json!([]), json!("text"), json!(7)] {
            let (status, message) = send(&user, &method, &path, &other).await;
            assert_eq!(status, 400, "{method} {path} {other}: {message}");
        }
    }
    assert!(fields > 80, "only {fields} values were tried");
}

#[tokio::test]
async fn null_is_taken_for_every_optional_field() {
    let server = Server::shared().await;
    let document = Document::of(&server).await;
    for (method, path, operation) in document.operations() {
        let Some(schema) = document.body(operation) else {
            continue;
        };
        let required = document.least(schema);
        for name in schema["properties"].as_object().unwrap().keys() {
            if required.contains_key(name) {
                continue;
            }
            let types = document.types(&schema["properties"][name]);
            let taken = types.iter().any(|t| t == "null" || t == "any");
            assert!(taken, "{method} {path}: `{name}` is optional and takes no null: {types:?}");
            let user = server.user().await;
            let mut with = document.least(schema);
            with.insert(name.clone(), Value::Null);
            with.insert("laterField".to_owned(), json!([{}]));
            let (_, with) = send(&user, &method, &path, &json!(with)).await;
            assert!(!with.contains(&format!("`{name}`")), "{method} {path}: {with}");
        }
        if operation["requestBody"]["required"] != true {
            let user = server.user().await;
            let (_, message) = send(&user, &method, &path, &Value::Null).await;
            assert!(!message.contains("body"), "{method} {path} null: {message}");
        }
    }
}

#[tokio::test]
async fn an_empty_query_value_means_absent_and_a_wrong_one_is_named() {
    let server = Server::shared().await;
    let document = Document::of(&server).await;
    let user = server.user().await;
    let mut seen = 0;
    for (method, path, operation) in document.operations() {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] != "query" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let empty = user.call(&method, &format!("{path}?{name}="), None).await;
            let absent = user.call(&method, &path, None).await;
            assert_eq!(empty.status, absent.status, "{method} {path}?{name}=: {}", empty.body);
            if document.types(&parameter["schema"]).iter().any(|t| t == "integer") {
                seen += 1;
                for wrong in ["x", "1.5", "99999999999999999999"] {
                    let path = format!("{path}?{name}={wrong}");
                    let reply = user.call(&method, &path, None).await;
                    assert_eq!(reply.status, 400, "{method} {path}: {}", reply.body);
                    let message = reply.body["message"].as_str().unwrap();
                    assert!(message.contains(&format!("`{name}`")), "{path}: {message}");
                }
            }
        }
    }
    assert!(seen > 5, "only {seen} parameters were tried");
}

#[tokio::test]
async fn what_is_refused_in_a_text_is_not_quoted() {
    let server = Server::shared().await;
    let body = Bytes::from_static(br#"{"username":"hunter2","password":["hunter2"]}"#);
    let http = server.http();
    let reply = http.raw("POST", "/api/auth/login", &[], body).await;
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert!(!reply.body.to_string().contains("hunter2"), "{}", reply.body);
    assert!(reply.body["message"].as_str().unwrap().contains("`password`"));
}
