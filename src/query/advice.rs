//! Messages that `DataFusion` words for its makers, in words for those who write SQL, with the place
//! that is meant and what to write instead.

use super::errors::Sql;
use super::hints;
use super::operands::{DIFFERENCES, of_types, operations, without_difference};
use super::places::{Position, Tokens};
use super::session::Session;

/// What is to be said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Advice {
    /// The message, where the one there is will not do.
    pub(super) message: Option<String>,
    pub(super) place: Option<Position>,
    pub(super) hint: Option<String>,
}

/// An error of a query.
pub(super) struct Case<'a> {
    text: &'a str,
    message: &'a str,
    sql: &'a str,
    tokens: Tokens,
    session: Option<&'a Session>,
}

/// Rules that know a message; the first that does speaks.
const RULES: [fn(&Case<'_>) -> Option<Advice>; 14] = [
    two_statements,
    semi_join,
    scalar_subquery,
    not_in,
    wrong_argument,
    regex,
    aggregate_in_where,
    zero,
    types,
    function,
    interval,
    unsupported,
    cast,
    same_names,
];

/// Advice on an error of `sql` whose full text is `text`, and whose first line `message`.
pub(super) fn on(
    sql: &Sql<'_>,
    (text, message): (&str, &str),
    session: Option<&Session>,
) -> Advice {
    let case = Case { text, message, sql: sql.text, tokens: Tokens::of(sql.text), session };
    let mut advice = RULES.iter().find_map(|rule| rule(&case)).unwrap_or_default();
    advice.place = advice.place.or_else(|| case.tokens.named_in(message));
    advice.hint = advice.hint.or_else(|| hints::for_message(message));
    advice
}

/// Advice on a syntax error at `position`.
pub(super) fn on_syntax(
    sql: &Sql<'_>,
    message: &str,
    position: Option<Position>,
) -> Option<String> {
    let tokens = Tokens::of(sql.text);
    let found = message.rsplit("found: ").next().unwrap_or_default();
    if found.starts_with('{') {
        return Some("there are no templates here: a segment is FROM segments.vip".to_owned());
    }
    if found.starts_with(['\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}']) {
        return Some(
            "these quotes are a word processor's: a text stands in straight ones, 'text'"
                .to_owned(),
        );
    }
    if found == "WHERE" && tokens.has("group") && tokens.word("group") < position {
        return Some(
            "WHERE stands before GROUP BY; behind it, of whole groups, it is HAVING".to_owned(),
        );
    }
    if found == "-"
        && let Some((before, after)) = tokens.around(position?)
        && tokens.phrase(&["segments", ".", &before]).is_some()
    {
        return Some(format!(
            "a name with a dash in it stands in double quotes: segments.\"{before}-{after}\""
        ));
    }
    None
}

impl Advice {
    fn at(place: Option<Position>) -> Self {
        Self { place, ..Self::default() }
    }

    fn say(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

fn two_statements(case: &Case<'_>) -> Option<Advice> {
    case.text.contains("only supports a single SQL statement").then(|| {
        Advice::at(case.tokens.behind(&[";"]).first())
            .say("there are two statements, and one is run")
            .hint("leave one of them, or make them one query: UNION, INTERSECT, EXCEPT, WITH")
    })
}

fn semi_join(case: &Case<'_>) -> Option<Advice> {
    let (_, join) = case.text.split_once("Unsupported JOIN operator ")?;
    let kind = join.split(|c: char| !c.is_alphanumeric()).next()?;
    let exists = match kind {
        "Semi" => "EXISTS",
        "Anti" => "NOT EXISTS",
        _ => return Some(Advice::default().say(format!("not supported: {kind} JOIN"))),
    };
    let word = kind.to_uppercase();
    Some(
        Advice::at(case.tokens.phrase(&[&word, "join"]))
            .say(format!("not supported: {word} JOIN without LEFT"))
            .hint(format!("write LEFT {word} JOIN, or WHERE {exists} (SELECT 1 FROM events e WHERE e.profile_id = p.profile_id)")),
    )
}

fn scalar_subquery(case: &Case<'_>) -> Option<Advice> {
    case.text.contains("logical expression ScalarSubquery").then(|| {
        Advice::at(case.tokens.phrase(&["(", "select"]))
            .say("not supported: a subquery as a value that looks at the row outside and has ORDER BY or LIMIT")
            .hint("ask a group for its last value: profile_id IN (SELECT profile_id FROM events GROUP BY profile_id HAVING last_value(channel ORDER BY ts) = 'web')")
    })
}

fn not_in(case: &Case<'_>) -> Option<Advice> {
    case.text.contains("null_aware anti join").then(|| {
        Advice::at(case.tokens.phrase(&["not", "in", "("]))
            .say("not supported: NOT IN with a subquery that looks at the row outside")
            .hint("write NOT EXISTS (SELECT 1 FROM events e WHERE e.profile_id = p.profile_id AND ..)")
    })
}

/// `sum` of a text, and the like.
fn wrong_argument(case: &Case<'_>) -> Option<Advice> {
    let (head, reasons) = case.text.split_once(" failed to match any signature")?;
    let name = head.rsplit('\'').nth(1)?;
    let received = reasons
        .split_once("received ")
        .map_or("this", |(_, r)| r.split([' ', ',', '.']).next().unwrap_or("this"));
    let is_text = received == "String";
    let received = if is_text { "text" } else { received };
    let advice = Advice::at(case.tokens.call(&[name]))
        .say(format!("the function {name} cannot take {received}"));
    Some(if is_text {
        advice.hint(format!("make a number of it: {name}(try_cast(column AS DOUBLE))"))
    } else {
        advice
    })
}

fn regex(case: &Case<'_>) -> Option<Advice> {
    let (_, rest) = case.text.split_once("regex parse error:")?;
    let pattern = rest.lines().map(str::trim).find(|line| !line.is_empty())?;
    let why = rest.lines().find_map(|line| line.trim().strip_prefix("error: "))?;
    Some(
        Advice::at(case.tokens.literal(pattern))
            .say(format!("'{pattern}' is no regular expression: {why}"))
            .hint("a backslash makes a sign mean itself: '\\('; LIKE '%(%' looks for plain text"),
    )
}

fn aggregate_in_where(case: &Case<'_>) -> Option<Advice> {
    if !case.message.contains("Aggregate functions are not allowed in the WHERE clause") {
        return None;
    }
    let names: Vec<String> = case.session.map_or_else(Vec::new, |session| {
        session.state().aggregate_functions().keys().cloned().collect()
    });
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Some(
        Advice::at(case.tokens.behind(&["where"]).call(&names))
            .say("an aggregate of many rows cannot stand in WHERE")
            .hint("it stands behind the groups: GROUP BY profile_id HAVING count(*) > 3"),
    )
}

fn zero(case: &Case<'_>) -> Option<Advice> {
    case.text.contains("Divide by zero").then(|| {
        let division = ["/", "%"].iter().find_map(|sign| case.tokens.phrase(&[sign]));
        Advice::at(division).say("division by zero").hint("a / nullif(b, 0) is NULL where b is 0")
    })
}

/// Operands of two types that do not meet.
fn types(case: &Case<'_>) -> Option<Advice> {
    let (types, is_between) = match case.message.split_once("incompatible types: ") {
        Some((_, types)) => (types, false),
        None => (case.message.split_once("coerce types ")?.1.split(" in BETWEEN").next()?, true),
    };
    let types = types.split_once(" and ")?;
    let json = ["->>", "->"].iter().find_map(|sign| case.tokens.phrase(&[sign]));
    if json.is_some() {
        return Some(Advice::at(json).hint("JSON has no operators here: make columns of its fields in sql/sources, or take a part of the text with regexp_match"));
    }
    let is_moment = |name: &str| name.starts_with("Timestamp") || name.starts_with("Date");
    let is_dated = (is_moment(types.0) && types.1.contains("Int"))
        || (is_moment(types.1) && types.0.contains("Int"));
    if is_between {
        let advice = Advice::at(case.tokens.word("between"))
            .say(format!("BETWEEN cannot compare {} with {}", types.0, types.1));
        return Some(if is_dated { advice.hint(hints::for_date(None)) } else { advice });
    }
    let Some(found) = of_types(operations(case.sql), types, case.session) else {
        return Some(Advice::default());
    };
    let advice = Advice::at(found.position());
    let has = |kind: &str| types.0.starts_with(kind) || types.1.starts_with(kind);
    Some(if has("Boolean") && found.nests() {
        advice.hint("one comparison is within another: parentheses say what belongs together")
    } else if is_dated && found.compares() {
        advice.hint(hints::for_date(found.number()))
    } else if types.0.starts_with("Utf8") && types.1.starts_with("Utf8") && found.adds() {
        advice.hint(format!("texts are joined with ||: {} || {}", found.left, found.right))
    } else {
        advice
    })
}

/// A function that is not there.
fn function(case: &Case<'_>) -> Option<Advice> {
    let name = case.message.strip_prefix("Invalid function '")?.split('\'').next()?;
    let advice = Advice::at(case.tokens.call(&[name]));
    if DIFFERENCES.contains(&name)
        && let Some(condition) = without_difference(&operations(case.sql))
    {
        return Some(advice.hint(format!("compare the moments: {condition}")));
    }
    let known = case.session.map(Session::function_names).unwrap_or_default();
    let near = || crate::error::nearest(name, known.iter().map(String::as_str));
    let hint =
        hints::for_message(case.message).or_else(|| Some(format!("did you mean {}?", near()?)));
    Some(Advice { hint, ..advice })
}

fn interval(case: &Case<'_>) -> Option<Advice> {
    let (_, text) = case.text.split_once("Invalid input syntax for type interval: \"")?;
    let text = text.split('"').next()?;
    let hint = if text.to_lowercase().contains("quarter") {
        "a quarter is INTERVAL '3 months'"
    } else {
        "a span of time is a number and year, month, week, day, hour, minute or second: INTERVAL '30 days'"
    };
    Some(
        Advice::at(case.tokens.literal(text))
            .say(format!("'{text}' is no span of time"))
            .hint(hint),
    )
}

/// Clauses of other products.
fn unsupported(case: &Case<'_>) -> Option<Advice> {
    let (word, hint) = match case.message {
        "not supported: TOP" => {
            ("top", "SELECT TOP is another product's: put LIMIT 100 at the end")
        }
        "not supported: FETCH clause is not supported yet" => ("fetch", "write LIMIT 10"),
        "not supported: ANY in LIKE expression" => (
            "any",
            "write a LIKE for each, with OR between them, or one pattern: email ~* 'this|that'",
        ),
        _ => return None,
    };
    let advice = Advice::at(case.tokens.word(word)).hint(hint);
    Some(if word == "fetch" { advice.say("not supported: FETCH FIRST") } else { advice })
}

/// A text that is no number, date or moment: the query's own, or one of the data.
fn cast(case: &Case<'_>) -> Option<Advice> {
    let is_cast = case.message.starts_with("Cast error: ")
        || case.message.contains("Error parsing timestamp from ");
    let value = case.message.split('\'').nth(1).filter(|_| is_cast)?;
    let message =
        case.message.trim_start_matches("Cast error: ").trim_start_matches("Parser error: ");
    if let Some(place) = case.tokens.literal(value) {
        return Some(Advice::at(Some(place)).say(message));
    }
    let casts = || case.tokens.phrase(&["::"]).or_else(|| case.tokens.phrase(&["cast", "("]));
    let advice = Advice::at(casts()).say(message);
    Some(match casts() {
        Some(_) => advice.hint(format!(
            "the data has '{value}': try_cast(column AS ..) is NULL where a text cannot be read"
        )),
        None => advice,
    })
}

/// A column and a cast of it, which the engine gives one name while it groups.
fn same_names(case: &Case<'_>) -> Option<Advice> {
    let (_, names) =
        case.message.split_once("require unique expression names but the expression \"")?;
    let name = names.split('"').next()?;
    let column = name.rsplit('.').next()?;
    let place = case.tokens.phrase(&["group", "by"]).or_else(|| case.tokens.word(column));
    Some(
        Advice::at(place)
            .say(format!("not supported: grouping by {column} and by a cast of it at once"))
            .hint(format!("name the cast in a subquery: SELECT {column}, i, count(*) FROM (SELECT {column}, {column}::int AS i FROM events) GROUP BY {column}, i")),
    )
}
