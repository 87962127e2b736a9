//! The input rules of bodies and queries, in one place.
//!
//! A body is one JSON object. `null` for an optional field means that the field is absent, unknown
//! fields are skipped, a field that stands there twice or has another type is refused with its
//! name. An empty value of a query parameter means that the parameter is absent. Refusals never
//! repeat a value: it may be a password.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::reply::ApiError;

/// Reads a body.
///
/// # Errors
/// `INVALID_PARAMS` with the name of the field that is wrong.
pub(super) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde takes an array for a struct as well, which the contract does not.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::invalid("The body is not a JSON object."));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|e| {
        let path = e.path().to_string();
        refusal(&path, e.inner())
    })?;
    reader
        .end()
        .map_err(|_| ApiError::invalid("The body is not valid JSON."))?;
    Ok(value)
}

/// Reads a body that may be missing, which `null` says as well.
///
/// # Errors
/// As [`body`].
pub(super) fn optional_body<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, ApiError> {
    match bytes.trim_ascii() {
        b"" | b"null" => Ok(T::default()),
        bytes => body(bytes),
    }
}

/// Reads the parameters of a query.
///
/// # Errors
/// `INVALID_PARAMS` with the name of the parameter that is wrong.
pub(super) fn query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let has_value = |pair: &&str| pair.split_once('=').is_some_and(|(_, v)| !v.is_empty());
    let pairs: Vec<&str> = query.split('&').filter(has_value).collect();
    let pairs = pairs.join("&");
    let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(pairs.as_bytes()));
    serde_path_to_error::deserialize(reader).map_err(|e| {
        let text = e.inner().to_string();
        let place = field_in(&text, "duplicate field")
            .map(|name| format!("`{name}` stands there twice"))
            .unwrap_or_else(|| format!("`{}` has the wrong form", e.path()));
        ApiError::invalid(format!("The query parameter {place}."))
    })
}

/// What is wrong with a field, without the values that serde quotes.
fn refusal(path: &str, error: &serde_json::Error) -> ApiError {
    let is_named = path != ".";
    let text = error.to_string();
    let sentence = match error.classify() {
        Category::Data => match (
            field_in(&text, "missing field"),
            field_in(&text, "duplicate field"),
        ) {
            (Some(name), _) => format!("`{}` is missing.", below(path, name)),
            (_, Some(name)) => format!("`{}` stands there twice.", below(path, name)),
            _ => match expected(&text) {
                Some(form) => format!("`{path}` must be {form}."),
                None => format!("`{path}` has the wrong form."),
            },
        },
        // Half a character of a text, for example.
        _ if is_named => format!("`{path}` is not valid JSON."),
        _ => return ApiError::invalid("The body is not valid JSON."),
    };
    ApiError::invalid(sentence)
}

/// The name of a field inside the value at `path`.
fn below(path: &str, name: &str) -> String {
    // serde names a repeated field both in the path and in the sentence.
    match path {
        "." => name.to_owned(),
        path if path == name => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// The field that a sentence of serde names after `word`.
fn field_in<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.strip_prefix(word)?.split('`').nth(1)
}

/// What a field should be, in words for people.
fn expected(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(", expected ")?;
    let form = rest.split(" at line ").next().unwrap_or(rest);
    Some(match form {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => "a whole number",
        "a string" | "a borrowed string" | "string or map" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        form if form.starts_with("struct ") => "an object",
        form => form,
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Form {
        name: String,
        #[serde(default)]
        seq_id: Option<i64>,
        #[serde(default)]
        members: Option<Vec<String>>,
        #[serde(default)]
        inner: Option<Inner>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Inner {
        flag: bool,
    }

    fn said(text: &str) -> String {
        let refusal = body::<Form>(text.as_bytes()).expect_err(text);
        refusal.error.message.into_owned()
    }

    #[test]
    fn null_means_absent_and_unknown_fields_are_skipped() {
        let text = r#"{"name":"a","seqId":null,"members":null,"inner":null,"later":[{}]}"#;
        let form = body::<Form>(text.as_bytes()).unwrap();
        assert_eq!(form, body::<Form>(br#"{"name":"a"}"#).unwrap());
        for nothing in ["", " \n", "null", " null "] {
            assert_eq!(
                optional_body::<Form>(nothing.as_bytes()).unwrap(),
                Form::default()
            );
        }
    }

    #[test]
    fn refusals_name_the_field_and_never_its_value() {
        for (text, wanted) in [
            (r#"{"name":5}"#, "`name` must be text."),
            (r#"{"name":null}"#, "`name` must be text."),
            (r#"{}"#, "`name` is missing."),
            (r#"{"name":"a","name":"b"}"#, "`name` stands there twice."),
            (
                r#"{"name":"a","seqId":"7"}"#,
                "`seqId` must be a whole number.",
            ),
            (
                r#"{"name":"a","seqId":7.5}"#,
                "`seqId` must be a whole number.",
            ),
            (
                r#"{"name":"a","members":["x",7]}"#,
                "`members[1]` must be text.",
            ),
            (r#"{"name":"a","members":"x"}"#, "`members` must be a list."),
            (
                r#"{"name":"a","inner":{"flag":"hunter2"}}"#,
                "`inner.flag` must be true or false.",
            ),
            (r#"{"name":"a","inner":{}}"#, "`inner.flag` is missing."),
            (r#"{"name":"\ud83d"}"#, "`name` is not valid JSON."),
            (r#"["a"]"#, "The body is not a JSON object."),
            ("null", "The body is not a JSON object."),
            (r#"{"name":"a"} x"#, "The body is not valid JSON."),
        ] {
            assert_eq!(said(text), wanted, "{text}");
        }
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Page {
        #[serde(alias = "limit")]
        size: Option<i32>,
        #[serde(rename = "type")]
        kind: Option<String>,
    }

    #[test]
    fn an_empty_query_value_means_absent() {
        for text in ["", "size=", "size=&type=", "type", "&&later=1"] {
            assert_eq!(
                query::<Page>(text).unwrap(),
                Page {
                    size: None,
                    kind: None
                },
                "{text}"
            );
        }
        let page = query::<Page>("limit=7&type=a%20b").unwrap();
        assert_eq!((page.size, page.kind.as_deref()), (Some(7), Some("a b")));
        for (text, wanted) in [
            ("size=x", "The query parameter `size` has the wrong form."),
            (
                "size=99999999999",
                "The query parameter `size` has the wrong form.",
            ),
            (
                "size=1&size=2",
                "The query parameter `size` stands there twice.",
            ),
        ] {
            assert_eq!(
                query::<Page>(text).unwrap_err().error.message,
                wanted,
                "{text}"
            );
        }
    }
}
