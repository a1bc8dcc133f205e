//! Canonical JSON: the same value gives the same bytes everywhere, so its hash can be compared.
//!
//! Keys are sorted by their bytes whatever the map's own order, there is no white space, numbers are written
//! as `serde_json` writes them (shortest form that reads back).

use serde::Serialize;
use serde_json::Value;
use servicing::Sha256;

/// The canonical bytes of a value.
#[must_use]
pub fn to_vec(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    append(value, &mut out);
    out
}

/// SHA-256 over the canonical bytes of a value.
#[must_use]
pub fn hash(value: &Value) -> Sha256 {
    Sha256::of(&to_vec(value))
}

/// Appends the canonical bytes of a value.
pub fn append(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                append(item, out);
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            out.push(b'{');
            // Mostly the map keeps its keys sorted itself.
            if fields.keys().is_sorted() {
                append_fields(fields.iter(), out);
            } else {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(key, _)| key.as_bytes());
                append_fields(fields.into_iter(), out);
            }
            out.push(b'}');
        }
        Value::String(text) => append_scalar(text, out),
        scalar => append_scalar(scalar, out),
    }
}

fn append_fields<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>, out: &mut Vec<u8>) {
    for (i, (key, item)) in fields.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        append_scalar(key, out);
        out.push(b':');
        append(item, out);
    }
}

fn append_scalar<T: Serialize + ?Sized>(scalar: &T, out: &mut Vec<u8>) {
    // Writing to memory does not fail, and a scalar has no key that could be of a wrong type.
    let _infallible = serde_json::to_writer(out, scalar);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_in_which_a_map_was_filled_does_not_change_the_hash() {
        let one: Value =
            serde_json::from_str(r#"{"b":1,"a":{"d":[1.5,null,"x\n\""],"c":true}}"#).unwrap();
        let other: Value =
            serde_json::from_str(r#"{ "a": {"c":true,"d":[1.5,null,"x\n\""]}, "b": 1 }"#).unwrap();
        let text = String::from_utf8(to_vec(&one)).unwrap();
        assert_eq!(text, r#"{"a":{"c":true,"d":[1.5,null,"x\n\""]},"b":1}"#);
        assert_eq!(hash(&one), hash(&other));
    }

    #[test]
    fn keys_are_sorted_by_bytes() {
        let value: Value = serde_json::from_str(r#"{"é":1,"z":2,"Z":3,"10":4,"9":5}"#).unwrap();
        assert_eq!(
            String::from_utf8(to_vec(&value)).unwrap(),
            r#"{"10":4,"9":5,"Z":3,"z":2,"é":1}"#
        );
    }
}
