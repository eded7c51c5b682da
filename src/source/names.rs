//! The names of a table's columns: none empty, none twice, none that of an origin column.

use std::collections::HashSet;

use crate::error::{Error, Result, nearest};

/// The column that tells which file a row is from, as the user would name it.
pub const FILE_COLUMN: &str = "_file";
/// The column that tells the line a row begins on, or its row number in a Parquet file, from 1.
pub const LINE_COLUMN: &str = "_line";

/// Makes names usable: an empty one becomes `column_3` by its place, one that is taken gets `_2`,
/// `_3` and so on behind it. Outer blanks go.
pub(super) fn usable_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut taken: HashSet<String> = [FILE_COLUMN.to_owned(), LINE_COLUMN.to_owned()].into();
    let usable = |(index, name): (usize, &str)| {
        let name = match name.trim() {
            "" => format!("column_{}", index + 1),
            name => name.to_owned(),
        };
        let mut free = name.clone();
        let mut copy = 2;
        while !taken.insert(free.clone()) {
            free = format!("{name}_{copy}");
            copy += 1;
        }
        free
    };
    names.into_iter().enumerate().map(usable).collect()
}

/// The place of `wanted` in `names`: as written, or else in any case.
pub(super) fn place_of(wanted: &str, names: &[String]) -> Option<usize> {
    let exact = names.iter().position(|name| name == wanted);
    exact.or_else(|| names.iter().position(|name| name.eq_ignore_ascii_case(wanted)))
}

/// Says that `types` declares a column that no file has.
pub(super) fn no_such_column(wanted: &str, names: &[String], shown: &str) -> Error {
    let error = Error::input(format!("types: no column \"{wanted}\" in {shown}"));
    match nearest(wanted, names.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
        None => error.with_hint(format!("its columns are {}", names.join(", "))),
    }
}

/// Checks that as many columns are named as the file has.
pub(super) fn check_count(names: &[String], found: usize, shown: &str) -> Result<()> {
    if names.len() == found {
        return Ok(());
    }
    let named = names.len();
    Err(Error::input(format!(
        "columns: names {named} columns, {shown} has {found} fields a record"
    ))
    .with_hint("name every column, in the order of the file; check the delimiter too"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_never_empty_nor_double() {
        let names = usable_names(["id", "", " name ", "id", "_line", "id_2", "id"]);
        assert_eq!(names, ["id", "column_2", "name", "id_2", "_line_2", "id_2_2", "id_3"]);
        assert_eq!(place_of("ID", &names), Some(0));
        assert_eq!(place_of("x", &names), None);
    }
}
