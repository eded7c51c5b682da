//! Profile rows as record batches, and all of them as a file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanArray, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Date32Type, Field, Int32Type, Schema, SchemaRef};

use super::columns::{ids, many_words, many_words_type, moment_type, numbers, words, words_type};
use super::file::Output;
use super::person::Person;
use super::words::{
    ACQUISITION, COUNTRIES, DEVICES, GENDERS, INTERESTS, MAIL_HOSTS, NAMES, PLANS, TIERS,
};
use super::{Progress, Shop};
use crate::error::{Error, Result};

/// Rows that are made at a time.
const CHUNK_ROWS: u32 = 65_536;

/// The columns of profiles.
pub(super) fn schema() -> SchemaRef {
    let text = |name, null| Field::new(name, DataType::Utf8, null);
    let word = |name, null| Field::new(name, words_type(), null);
    let number = |name, null| Field::new(name, DataType::Int32, null);
    let item = Arc::new(Field::new("item", DataType::Utf8, true));
    Arc::new(Schema::new(vec![
        text("user_id", false),
        text("email", true),
        text("phone", true),
        Field::new("first_name", many_words_type(), false),
        Field::new("last_name", many_words_type(), true),
        word("country", false),
        Field::new("city", many_words_type(), false),
        Field::new("birth_date", DataType::Date32, true),
        word("gender", true),
        Field::new("signup_at", moment_type(), false),
        word("plan", false),
        word("language", false),
        word("device", false),
        word("acquisition_channel", false),
        Field::new("marketing_consent", DataType::Boolean, false),
        Field::new("sms_consent", DataType::Boolean, false),
        word("loyalty_tier", false),
        number("loyalty_points", false),
        Field::new("interests", DataType::List(item), true),
        number("nps_score", true),
        number("store_id", true),
    ]))
}

/// The words of [`NAMES`], of the countries' cities, and names as they stand in an address.
struct Lists {
    first_names: Arc<StringArray>,
    last_names: Arc<StringArray>,
    cities: Arc<StringArray>,
    first_slugs: Vec<String>,
    last_slugs: Vec<String>,
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let first: Vec<_> = NAMES.iter().flat_map(|n| n.women.iter().chain(&n.men)).copied().collect();
    let last: Vec<_> = NAMES.iter().flat_map(|n| n.families).collect();
    let cities = COUNTRIES.iter().flat_map(|country| country.cities);
    Lists {
        first_slugs: first.iter().map(|name| slug(name)).collect(),
        last_slugs: last.iter().map(|name| slug(name)).collect(),
        first_names: Arc::new(StringArray::from_iter_values(first)),
        last_names: Arc::new(StringArray::from_iter_values(last)),
        cities: Arc::new(StringArray::from_iter_values(cities)),
    }
});

impl Shop {
    /// Writes all profiles to `path`, in the order of their `user_id`; returns the file's size in
    /// bytes.
    pub(super) fn write_profiles(
        &self,
        path: PathBuf,
        progress: &Progress<'_>,
    ) -> Result<(PathBuf, u64)> {
        let mut output = Output::create(path, schema(), &[], &["user_id", "email", "phone"])?;
        let profiles = self.crowd.len() as u32;
        let mut first = 0;
        while first < profiles {
            let end = profiles.min(first.saturating_add(CHUNK_ROWS));
            let batch = self.profiles(first..end)?;
            output.write(&batch)?;
            progress.add(batch.num_rows());
            first = end;
        }
        output.finish()
    }

    /// The profiles of a range.
    pub(super) fn profiles(&self, range: std::ops::Range<u32>) -> Result<RecordBatch> {
        let people: Vec<Person> = range.map(|profile| self.person(profile)).collect();
        let mut columns = naming_columns(&people);
        columns.extend(describing_columns(&people));
        RecordBatch::try_new(schema(), columns)
            .map_err(|e| Error::internal(format!("profiles do not fit their columns: {e}")))
    }
}

/// `user_id` to `gender`.
fn naming_columns(people: &[Person]) -> Vec<ArrayRef> {
    let birth_dates = numbers::<Date32Type>(people.iter().map(|p| p.birth_day));
    vec![
        ids(b'c', 10, 10, people.iter().map(|p| Some(p.number))),
        emails(people),
        phones(people),
        many_words(&LISTS.first_names, people.iter().map(|p| Some(p.first_name))),
        many_words(&LISTS.last_names, people.iter().map(|p| p.last_name)),
        words(COUNTRIES.map(|c| c.code), people.iter().map(|p| Some(p.country))),
        many_words(&LISTS.cities, people.iter().map(|p| Some(p.city))),
        Arc::new(birth_dates),
        words(GENDERS, people.iter().map(|p| p.gender)),
    ]
}

/// `signup_at` to `store_id`.
fn describing_columns(people: &[Person]) -> Vec<ArrayRef> {
    let signups = TimestampMicrosecondArray::from_iter_values(people.iter().map(|p| p.signup));
    let flags = |flag: fn(&Person) -> bool| -> ArrayRef {
        Arc::new(people.iter().map(|p| Some(flag(p))).collect::<BooleanArray>())
    };
    let number = |value: fn(&Person) -> Option<i32>| -> ArrayRef {
        Arc::new(numbers::<Int32Type>(people.iter().map(value)))
    };
    vec![
        Arc::new(signups.with_timezone("UTC")),
        words(PLANS, people.iter().map(|p| Some(p.plan))),
        words(COUNTRIES.map(|c| c.language), people.iter().map(|p| Some(p.language))),
        words(DEVICES, people.iter().map(|p| Some(p.habits.device as u8))),
        words(ACQUISITION, people.iter().map(|p| Some(p.acquisition))),
        flags(|p| p.habits.consents),
        flags(|p| p.sms_consent),
        words(TIERS, people.iter().map(|p| Some(p.tier()))),
        number(|p| Some(p.points)),
        interests(people),
        number(|p| p.nps),
        number(|p| p.store),
    ]
}

/// Addresses such as `lena.mueller.4711@post.example`; the number makes each the only one.
fn emails(people: &[Person]) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(people.len(), people.len() * 34);
    for person in people {
        if !person.habits.mail {
            texts.append_null();
            continue;
        }
        let first = &LISTS.first_slugs[usize::from(person.first_name)];
        let last = person.last_name.map_or("x", |name| &LISTS.last_slugs[usize::from(name)]);
        let host = MAIL_HOSTS[usize::from(person.mail_host)];
        // Writing to memory does not fail.
        let _ = write!(texts, "{first}.{last}.{}@{host}", person.number);
        texts.append_value("");
    }
    Arc::new(texts.finish())
}

/// Numbers such as `+9990123456789`; multiplied by a prime that 10 does not share, they neither
/// repeat nor rise.
fn phones(people: &[Person]) -> ArrayRef {
    const DIGITS: u128 = 10_000_000_000;
    const PRIME: u128 = 7_368_787;
    let mut texts = StringBuilder::with_capacity(people.len(), people.len() * 14);
    for person in people {
        if person.phone {
            let number = u128::from(person.number) * PRIME % DIGITS;
            let _ = write!(texts, "+999{number:010}");
            texts.append_value("");
        } else {
            texts.append_null();
        }
    }
    Arc::new(texts.finish())
}

fn interests(people: &[Person]) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for person in people {
        for place in person.interests.iter().flat_map(|places| places.iter()) {
            lists.values().append_value(INTERESTS[usize::from(*place)]);
        }
        lists.append(person.interests.is_some());
    }
    Arc::new(lists.finish())
}

/// A name as it stands in an address: lower case, without accents, blanks and signs.
fn slug(name: &str) -> String {
    let fold = |c: char| match c {
        'ä' | 'æ' => "ae",
        'ö' | 'ø' => "oe",
        'ü' => "ue",
        'á' | 'à' | 'ã' | 'ă' => "a",
        'é' | 'è' | 'ê' | 'ë' => "e",
        'í' | 'ì' | 'ı' => "i",
        'ó' | 'ò' => "o",
        'ú' => "u",
        'ç' | 'č' | 'ć' => "c",
        'ğ' => "g",
        'ń' | 'ñ' => "n",
        'ř' => "r",
        'ş' | 'š' | 'ș' => "s",
        _ => "",
    };
    let mut slug = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() { slug.push(c) } else { slug.push_str(fold(c)) }
    }
    slug
}

/// Where the profiles of a shop in `out` stand.
pub(super) fn file_in(out: &Path) -> PathBuf {
    out.join("profiles.parquet")
}
