//! The ids of a file from elsewhere become a membership: each is looked up, none is made. What is
//! unknown is a reject. The import calls this; nothing here commits.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, Schema};

use crate::error::{Error, Result, nearest};
use crate::identity::{IdentityIndex, key_text};
use crate::membership::{Mask, Membership, Numbers};
use crate::model::{IdSpace, ProfileId};
use crate::query::Session;
use crate::source::{
    FILE_COLUMN, LINE_COLUMN, Progress, ReadOptions, Reject, Rejects, SourceFile, SourceTable,
};

/// Rows in a batch of ids.
const BATCH_ROWS: usize = 65_536;

/// What became of the ids of a file.
#[derive(Debug)]
pub struct Resolved {
    /// The profiles that they are.
    pub membership: Membership,
    /// How many ids the file held, unknown ones and repetitions among them.
    pub ids: u64,
    /// How many were known.
    pub known: u64,
}

/// Looks ids up as they come.
pub struct Resolver<'a> {
    ids: &'a IdSpace,
    index: Option<IdentityIndex>,
    next_profile_id: u32,
    rejects: &'a Arc<Rejects>,
    mask: Mask,
    seen: u64,
    known: u64,
}

impl<'a> Resolver<'a> {
    /// A resolver of `ids` over the store behind `session`, which gave out the ids below
    /// `next_profile_id`. What is unknown goes to `rejects`.
    ///
    /// # Errors
    /// Where the table of identifiers cannot be read, or has none of the namespace.
    pub async fn new(
        session: &Session,
        ids: &'a IdSpace,
        next_profile_id: u32,
        rejects: &'a Arc<Rejects>,
    ) -> Result<Self> {
        let index = match ids {
            IdSpace::Profile => None,
            IdSpace::Namespace(namespace) => {
                let namespaces = std::slice::from_ref(namespace);
                let index = IdentityIndex::load(session, namespaces, next_profile_id).await?;
                if index.is_empty(0) {
                    return Err(Error::input(format!("no profile has an identifier {namespace}"))
                        .with_hint("`throng query \"SELECT DISTINCT namespace FROM identifiers\"` lists the namespaces"));
                }
                Some(index)
            }
        };
        Ok(Self { ids, index, next_profile_id, rejects, mask: Mask::new(), seen: 0, known: 0 })
    }

    /// Resolves the column of ids of `file`: `column` where one is named, else the one that is
    /// called as the ids are.
    ///
    /// # Errors
    /// Where the file cannot be read, or no column is called so.
    pub fn list(
        &mut self,
        file: &SourceFile,
        options: &ReadOptions,
        column: Option<&str>,
    ) -> Result<()> {
        let table = SourceTable::open(vec![file.clone()], options.clone())?;
        let name = self.column(table.schema(), column, &file.shown)?;
        // Text as it is written: 007 is another user than 7.
        let mut options = options.clone();
        let is_text =
            table.schema().field_with_name(&name).is_ok_and(|f| f.data_type().is_string());
        if !is_text && !is_typed(file) {
            options.types.push((name.clone(), DataType::Utf8));
        }
        let table = SourceTable::open(vec![file.clone()], options)?;
        let wanted = |column: &str| {
            table.schema().index_of(column).map_err(|e| Error::internal(e.to_string()))
        };
        let projection = [wanted(&name)?, wanted(FILE_COLUMN)?, wanted(LINE_COLUMN)?];
        let progress = Arc::new(Progress::default());
        let (before, unknown) = (self.rejects.total(), self.seen - self.known);
        for batch in
            table.read(Some(&projection), BATCH_ROWS, Arc::clone(self.rejects), progress)?
        {
            self.batch(&batch?, &file.shown)?;
        }
        // Records that are no rows were counted by the reader.
        let broken = self.rejects.total() - before - (self.seen - self.known - unknown);
        self.seen += broken;
        Ok(())
    }

    /// Resolves the column of ids of batches that are in memory already, as [`Resolver::list`].
    ///
    /// # Errors
    /// Where no column is called so, or it holds no ids.
    pub fn batches(
        &mut self,
        batches: &[RecordBatch],
        column: Option<&str>,
        shown: &str,
    ) -> Result<()> {
        let mut line = 0;
        for batch in batches {
            let name = self.column(&batch.schema(), column, shown)?;
            let ids =
                batch.column_by_name(&name).ok_or_else(|| Error::internal("a column vanished"))?;
            let text = self.text(ids)?;
            for row in 0..text.len() {
                line += 1;
                self.one(text.is_valid(row).then(|| text.value(row)), line, shown);
            }
        }
        Ok(())
    }

    /// Resolves the numbers of a bitmap.
    pub fn numbers(&mut self, numbers: &Numbers, shown: &str) {
        let mut digits = String::new();
        for (number, line) in numbers.iter().zip(1..) {
            if self.index.is_none() {
                self.seen += 1;
                match self.profile(number) {
                    Some(id) => self.found(id),
                    None => self.unknown(&number.to_string(), line, shown),
                }
                continue;
            }
            digits.clear();
            let _infallible = std::fmt::Write::write_fmt(&mut digits, format_args!("{number}"));
            self.one(Some(&digits), line, shown);
        }
    }

    /// What became of all ids so far.
    pub fn finish(self) -> Resolved {
        Resolved { membership: self.mask.to_membership(), ids: self.seen, known: self.known }
    }

    fn batch(&mut self, batch: &RecordBatch, shown: &str) -> Result<()> {
        let text = self.text(batch.column(0))?;
        let lines = cast(batch.column(2), &DataType::Int64)
            .map_err(|e| Error::internal(format!("line numbers: {e}")))?;
        let lines = lines.as_primitive::<Int64Type>();
        for row in 0..text.len() {
            let line = lines.value(row).cast_unsigned();
            self.one(text.is_valid(row).then(|| text.value(row)), line, shown);
        }
        Ok(())
    }

    fn text(&self, column: &ArrayRef) -> Result<StringArray> {
        match self.ids {
            IdSpace::Namespace(namespace) => key_text(column, namespace),
            IdSpace::Profile => {
                let text = cast(column, &DataType::Utf8)
                    .map_err(|e| Error::data(format!("profile_id holds no numbers: {e}")))?;
                Ok(text.as_string::<i32>().clone())
            }
        }
    }

    fn one(&mut self, text: Option<&str>, line: u64, shown: &str) {
        self.seen += 1;
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
            let reason = format!("no value in {}", self.ids);
            self.reject(reason, "", line, shown);
            return;
        };
        let found = match &self.index {
            Some(index) => index.find(0, text),
            None => text.parse().ok().and_then(|number| self.profile(number)),
        };
        match found {
            Some(id) => self.found(id),
            None => self.unknown(text, line, shown),
        }
    }

    fn profile(&self, number: u64) -> Option<ProfileId> {
        let number = u32::try_from(number).ok().filter(|n| *n < self.next_profile_id)?;
        ProfileId::new(number)
    }

    fn found(&mut self, id: ProfileId) {
        self.known += 1;
        self.mask.insert(id);
    }

    fn unknown(&self, text: &str, line: u64, shown: &str) {
        self.reject(format!("no profile has this {}", self.ids), text, line, shown);
    }

    fn reject(&self, reason: String, text: &str, line: u64, shown: &str) {
        self.rejects.push(Reject { file: shown.to_owned(), line, reason, text: text.to_owned() });
    }

    /// The name of the column of ids.
    fn column(&self, schema: &Schema, column: Option<&str>, shown: &str) -> Result<String> {
        let wanted = column.unwrap_or(self.ids.column());
        let own = [FILE_COLUMN, LINE_COLUMN];
        let names = || {
            let names = schema.fields().iter().map(|f| f.name().as_str());
            names.filter(|name| !own.contains(name))
        };
        let exact = names().find(|name| *name == wanted);
        let found = exact.or_else(|| names().find(|name| name.eq_ignore_ascii_case(wanted)));
        found.map(str::to_owned).ok_or_else(|| {
            let all: Vec<&str> = names().take(8).collect();
            let error = Error::input(format!(
                "no column \"{wanted}\" in {shown}; it has {}",
                all.join(", ")
            ));
            match nearest(wanted, names()) {
                Some(near) => error.with_hint(format!("did you mean --column {near}?")),
                None => error.with_hint(
                    "name the column of ids with --column, or say --no-header where the first line is one already",
                ),
            }
        })
    }
}

/// Whether the file's columns have types of their own.
fn is_typed(file: &SourceFile) -> bool {
    file.path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet"))
}
