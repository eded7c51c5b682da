//! Which profile is meant: by an identifier of any namespace, or by its number.

use std::collections::BTreeSet;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;

use crate::error::{Error, Result, nearest};
use crate::model::tables::PROFILE_ID;
use crate::model::{Namespace, ProfileId};
use crate::query::Session;

/// The profile that `user` names: `value`, `namespace=value` or `profile_id=number`. Values take the
/// normal form that ingest gives them.
pub(super) async fn find(session: &Session, user: &str) -> Result<ProfileId> {
    match user.split_once('=').map(|(kind, value)| (kind.trim(), value.trim())) {
        Some((PROFILE_ID, number)) => by_number(session, number).await,
        // A value may have the sign within, as base64 has it.
        Some((kind, value)) => match named(session, kind, value).await? {
            Found::Nobody => match bare(session, user).await? {
                Found::One(id) => Ok(id),
                _ => Err(unknown(session, kind, value).await?),
            },
            found => found.one(user),
        },
        None => match bare(session, user).await? {
            Found::Nobody => Err(Error::input(format!("no profile has the identifier \"{user}\""))
                .with_hint(whose_kind(&namespaces(session).await?))
                .with_hint(format!("by its number it is {PROFILE_ID}=821"))),
            found => found.one(user),
        },
    }
}

/// Whom an identifier names.
enum Found {
    Nobody,
    One(ProfileId),
    Several,
}

impl Found {
    fn one(self, user: &str) -> Result<ProfileId> {
        match self {
            Self::One(id) => Ok(id),
            Self::Nobody => Err(Error::input(format!("no profile has the identifier \"{user}\""))),
            Self::Several => {
                Err(Error::input(format!("\"{user}\" is an identifier of more than one profile"))
                    .with_hint("say which kind it is: email=ann@example.com"))
            }
        }
    }
}

async fn by_number(session: &Session, number: &str) -> Result<ProfileId> {
    let id = number.parse::<u32>().ok().and_then(ProfileId::new).ok_or_else(|| {
        Error::input(format!("\"{number}\" is no {PROFILE_ID}"))
            .with_hint(format!("it is a number: {PROFILE_ID}=821"))
    })?;
    let sql = format!(
        "SELECT CAST({PROFILE_ID} AS BIGINT) AS id FROM profiles WHERE {PROFILE_ID} = {id}"
    );
    match ids(session, &sql).await? {
        Found::Nobody => Err(Error::input(format!("there is no profile {id}"))),
        _ => Ok(id),
    }
}

/// Who has `value` in the namespace `kind`.
async fn named(session: &Session, kind: &str, value: &str) -> Result<Found> {
    let Ok(namespace) = Namespace::parse(&kind.to_lowercase()) else { return Ok(Found::Nobody) };
    match namespace.normalise(value) {
        Some(value) => with(session, &is_in(namespace.as_str(), &value)).await,
        None => Ok(Found::Nobody),
    }
}

/// Who has `value` in any namespace.
async fn bare(session: &Session, value: &str) -> Result<Found> {
    let found = with(session, &format!("value = {}", quoted(value.trim()))).await?;
    if !matches!(found, Found::Nobody) {
        return Ok(found);
    }
    let normal = |kind: &String| {
        let namespace = Namespace::parse(kind).ok()?;
        Some(is_in(kind, &namespace.normalise(value)?))
    };
    let any: Vec<String> = namespaces(session).await?.iter().filter_map(normal).collect();
    if any.is_empty() { Ok(Found::Nobody) } else { with(session, &any.join(" OR ")).await }
}

fn is_in(namespace: &str, value: &str) -> String {
    format!("(namespace = {} AND value = {})", quoted(namespace), quoted(value))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The profile whose home the identifiers of `condition` are.
async fn with(session: &Session, condition: &str) -> Result<Found> {
    ids(
        session,
        &format!(
            "SELECT DISTINCT CAST({PROFILE_ID} AS BIGINT) AS id FROM identifiers \
             WHERE home AND ({condition}) LIMIT 2"
        ),
    )
    .await
}

async fn ids(session: &Session, sql: &str) -> Result<Found> {
    let mut ids = Vec::new();
    for batch in &session.plan(sql, None).await?.collect().await? {
        ids.extend(batch.column(0).as_primitive::<Int64Type>().iter().flatten());
    }
    match ids[..] {
        [] => Ok(Found::Nobody),
        [id] => u32::try_from(id)
            .ok()
            .and_then(ProfileId::new)
            .map(Found::One)
            .ok_or_else(|| Error::data(format!("{PROFILE_ID} {id} is out of range"))),
        _ => Ok(Found::Several),
    }
}

/// The namespaces of which the store has identifiers.
async fn namespaces(session: &Session) -> Result<BTreeSet<String>> {
    let plan = session.plan("SELECT DISTINCT namespace FROM identifiers", None).await?;
    Ok(plan.texts().await?.into_iter().collect())
}

fn whose_kind(namespaces: &BTreeSet<String>) -> String {
    let names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    format!("the namespaces are {}", names.join(", "))
}

/// The error of a value that nobody has: is it the namespace, or the value in it?
async fn unknown(session: &Session, kind: &str, value: &str) -> Result<Error> {
    let known = namespaces(session).await?;
    if known.contains(&kind.to_lowercase()) {
        return Ok(Error::input(format!("no profile has the {kind} \"{value}\"")));
    }
    let error = Error::input(format!("no profile has an identifier {kind}"));
    let near = nearest(kind, known.iter().map(String::as_str).chain([PROFILE_ID]));
    let error = match near {
        Some(near) => error.with_hint(format!("did you mean {near}?")),
        None => error,
    };
    Ok(error.with_hint(whose_kind(&known)))
}
