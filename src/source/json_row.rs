//! A line of JSON straight into columns, without a tree in between: serde visits the object, each
//! value goes to the column that its key stands for.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, de};
use serde_json::Value;

use super::column::Column;
use super::guess::Rules;
use super::ndjson::{Goal, Shape};
use super::rows::Rows;

/// Adds the values of the JSON object `line` to their columns. A key that no column stands for is
/// passed over; a column whose key is missing gets nothing.
///
/// # Errors
/// The reason why the line is no row.
pub(super) fn push_line(
    line: &str,
    rows: &mut Rows,
    shape: &Shape,
    rules: &Rules,
) -> Result<(), String> {
    if !line.trim_ascii_start().starts_with('{') {
        return Err("the line is no JSON object".to_owned());
    }
    let mut fault = None;
    let mut json = serde_json::Deserializer::from_str(line);
    let seed = ObjectSeed { key: "", rows, shape, rules, fault: &mut fault };
    let pushed = seed.deserialize(&mut json).and_then(|()| json.end());
    pushed.map_err(|cause| fault.unwrap_or_else(|| syntax_fault(&cause)))
}

/// Says what is wrong with a line of JSON, and at which byte.
pub(super) fn syntax_fault(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    format!("no JSON: {what} at column {}", cause.column())
}

/// Reads an object into the columns of its shape. What does not fit is left in `fault`, since
/// serde's own errors would add a place to it.
struct ObjectSeed<'a> {
    key: &'a str,
    rows: &'a mut Rows,
    shape: &'a Shape,
    rules: &'a Rules,
    fault: &'a mut Option<String>,
}

impl ObjectSeed<'_> {
    fn no_object<E: de::Error>(self) -> Result<(), E> {
        let key = self.key;
        *self.fault = Some(format!("key \"{key}\" holds no object; declare types: {key} text"));
        Err(E::custom("no object"))
    }
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (rows, shape, rules, fault) = (self.rows, self.shape, self.rules, self.fault);
        while let Some(goal) = map.next_key_seed(KeySeed(shape))? {
            match goal {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some((key, Goal::Object(shape))) => {
                    map.next_value_seed(ObjectSeed { key, rows, shape, rules, fault })?;
                }
                Some((key, Goal::Column(at))) => {
                    if rows.is_set(*at) {
                        *fault = Some(format!("key \"{key}\" appears twice"));
                        return Err(A::Error::custom("twice"));
                    }
                    map.next_value_seed(CellSeed { column: rows.column(*at), rules, fault })?;
                }
            }
        }
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.no_object()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.no_object()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.no_object()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.no_object()
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.no_object()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.no_object()
    }
}

/// Looks a key up without keeping it.
struct KeySeed<'a>(&'a Shape);

impl<'de, 'a> DeserializeSeed<'de> for KeySeed<'a> {
    type Value = Option<(&'a str, &'a Goal)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for KeySeed<'a> {
    type Value = Option<(&'a str, &'a Goal)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.goal(key))
    }
}

/// Adds a value to a column, or checks only that it is JSON where there is none.
struct CellSeed<'a> {
    column: Option<&'a mut Column>,
    rules: &'a Rules,
    fault: &'a mut Option<String>,
}

impl CellSeed<'_> {
    fn push<E: de::Error>(
        self,
        push: impl FnOnce(&mut Column, &Rules) -> Result<(), String>,
    ) -> Result<(), E> {
        let Some(column) = self.column else { return Ok(()) };
        push(column, self.rules).map_err(|reason| {
            *self.fault = Some(reason);
            E::custom("does not fit")
        })
    }
}

impl<'de> DeserializeSeed<'de> for CellSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CellSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.push(|column, _| {
            column.push_null();
            Ok(())
        })
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<(), E> {
        let text: &[u8] = if truth { b"true" } else { b"false" };
        self.push(|column, rules| column.push_plain(text, rules))
    }

    fn visit_i64<E: de::Error>(self, int: i64) -> Result<(), E> {
        self.push(|column, rules| column.push_int(int, rules))
    }

    fn visit_u64<E: de::Error>(self, int: u64) -> Result<(), E> {
        self.push(|column, rules| match i64::try_from(int) {
            Ok(int) => column.push_int(int, rules),
            Err(_) => column.push_plain(int.to_string().as_bytes(), rules),
        })
    }

    fn visit_f64<E: de::Error>(self, float: f64) -> Result<(), E> {
        self.push(|column, rules| column.push_float(float, rules))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.push(|column, rules| column.push_string(text, rules))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        let value = Value::deserialize(SeqAccessDeserializer::new(items))?;
        self.push(|column, rules| push_nested(column, &value, rules))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let value = Value::deserialize(MapAccessDeserializer::new(map))?;
        self.push(|column, rules| push_nested(column, &value, rules))
    }
}

/// Adds a list, or JSON text.
fn push_nested(column: &mut Column, value: &Value, rules: &Rules) -> Result<(), String> {
    match value {
        Value::Array(items) if column.is_list() => {
            if !items.iter().all(Value::is_string) {
                let name = column.name();
                return Err(format!("column \"{name}\": the list holds more than strings"));
            }
            column.push_list(items.iter().filter_map(Value::as_str))
        }
        _ if column.is_text() => column.push_plain(value.to_string().as_bytes(), rules),
        _ => {
            let kind = if value.is_array() { "list" } else { "object" };
            let name = column.name();
            Err(format!("column \"{name}\": a {kind} where a single value is expected"))
        }
    }
}
