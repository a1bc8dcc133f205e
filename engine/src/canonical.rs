//! Canonical JSON: the same value gives the same bytes everywhere, so its hash can be compared.
//!
//! Keys are sorted by their bytes whatever the map's own order, there is no white space, numbers are written
//! as `serde_json` writes them (shortest form that reads back).

use serde_json::Value;
use servicing::Sha256;

/// The canonical bytes of a value.
#[must_use]
pub fn to_vec(value: &Value) -> Vec<u8> {
    let mut out = String::new();
    write(value, &mut out);
    out.into_bytes()
}

/// SHA-256 over the canonical bytes of a value.
#[must_use]
pub fn hash(value: &Value) -> Sha256 {
    Sha256::of(&to_vec(value))
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| key.as_bytes());
            out.push('{');
            for (i, (key, item)) in fields.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
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
