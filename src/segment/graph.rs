//! Which segment needs which: build order, cycles, and selection.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result, nearest};

use super::parse::Parsed;

/// The segments of a project and what they need.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    needs: BTreeMap<String, BTreeSet<String>>,
    /// The same the other way round.
    needers: BTreeMap<String, BTreeSet<String>>,
    tags: BTreeMap<String, Vec<String>>,
    cycles: Vec<Vec<String>>,
}

/// Which segments a command is about: names, globs, `tag:x`, `+name` (with what it needs), `name+`
/// (with what needs it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    what: What,
    with_needs: bool,
    with_needers: bool,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Pattern(String),
    Tag(String),
}

impl Selector {
    /// Reads `text`.
    pub fn parse(text: &str) -> Self {
        let with_needs = text.starts_with('+');
        let with_needers = text.len() > 1 && text.ends_with('+');
        let core = text.trim_start_matches('+').trim_end_matches('+');
        let what = match core.strip_prefix("tag:") {
            Some(tag) => What::Tag(tag.to_owned()),
            None => What::Pattern(core.to_owned()),
        };
        Self { what, with_needs, with_needers, text: text.to_owned() }
    }
}

impl Graph {
    /// The graph of `segments`; `broken` ones, whose SQL does not parse, need nothing.
    pub fn new<'a>(
        segments: impl IntoIterator<Item = &'a Parsed>,
        broken: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut graph = Self::default();
        for segment in segments {
            let name = segment.name().to_string();
            graph.tags.insert(name.clone(), segment.file.front.tags());
            graph.needs.insert(name, segment.segments.clone());
        }
        for name in broken {
            graph.needs.entry(name).or_default();
        }
        graph.linked()
    }

    /// Derives what follows from `needs`.
    fn linked(mut self) -> Self {
        for (needer, needs) in &self.needs {
            for need in needs {
                self.needers.entry(need.clone()).or_default().insert(needer.clone());
            }
        }
        self.cycles = self.find_cycles();
        self
    }

    /// The segments that `name` reads, as they are written in it.
    pub fn needs(&self, name: &str) -> impl Iterator<Item = &str> {
        self.needs.get(name).into_iter().flatten().map(String::as_str)
    }

    /// The segments that read `name`.
    pub fn needed_by(&self, name: &str) -> impl Iterator<Item = &str> {
        self.needers.get(name).into_iter().flatten().map(String::as_str)
    }

    /// The error of `name` where it needs itself; the cycle is printed.
    pub fn cycle(&self, name: &str) -> Option<Error> {
        let cycle = self.cycles.iter().find(|cycle| cycle.iter().any(|n| n == name))?;
        let first = cycle.first()?;
        let path = cycle.iter().chain([first]).map(String::as_str).collect::<Vec<_>>();
        Some(
            Error::input(format!("segments need each other: {}", path.join(" -> ")))
                .with_hint("break the cycle: let one of them say itself what it needs"),
        )
    }

    /// The segments in groups: each needs only those of groups before its own. Segments in cycles
    /// come last.
    pub fn levels(&self) -> Vec<Vec<String>> {
        let mut placed: BTreeSet<&str> = BTreeSet::new();
        let mut levels = Vec::new();
        loop {
            let ready: Vec<&str> = self
                .needs
                .iter()
                .filter(|(name, _)| !placed.contains(name.as_str()))
                .filter(|(_, needs)| {
                    let known = needs.iter().filter(|n| self.needs.contains_key(*n));
                    known.into_iter().all(|n| placed.contains(n.as_str()))
                })
                .map(|(name, _)| name.as_str())
                .collect();
            if ready.is_empty() {
                break;
            }
            placed.extend(&ready);
            levels.push(ready.into_iter().map(str::to_owned).collect());
        }
        let rest: Vec<String> =
            self.needs.keys().filter(|n| !placed.contains(n.as_str())).cloned().collect();
        if !rest.is_empty() {
            levels.push(rest);
        }
        levels
    }

    /// The segments that any of `selectors` names; all of them where there are no selectors.
    ///
    /// # Errors
    /// Where a selector names nothing; the nearest name is a hint.
    pub fn select(&self, selectors: &[Selector]) -> Result<BTreeSet<String>> {
        if selectors.is_empty() {
            return Ok(self.needs.keys().cloned().collect());
        }
        let mut selected = BTreeSet::new();
        for selector in selectors {
            let found = self.matching(selector)?;
            for name in found {
                if selector.with_needs {
                    Self::spread(&name, &mut selected, &|n| {
                        self.needs(n).map(str::to_owned).collect()
                    });
                }
                if selector.with_needers {
                    Self::spread(&name, &mut selected, &|n| {
                        self.needed_by(n).map(str::to_owned).collect()
                    });
                }
                selected.insert(name);
            }
        }
        selected.retain(|name| self.needs.contains_key(name));
        Ok(selected)
    }

    fn matching(&self, selector: &Selector) -> Result<Vec<String>> {
        let names = || self.needs.keys();
        let found: Vec<String> = match &selector.what {
            What::Tag(tag) => names()
                .filter(|n| self.tags.get(*n).is_some_and(|tags| tags.contains(tag)))
                .cloned()
                .collect(),
            What::Pattern(pattern) => {
                let glob = glob::Pattern::new(pattern)
                    .map_err(|e| Error::input(format!("\"{pattern}\" is no pattern: {e}")))?;
                names().filter(|n| glob.matches(n)).cloned().collect()
            }
        };
        if !found.is_empty() {
            return Ok(found);
        }
        let error = Error::input(format!("no segment matches \"{}\"", selector.text));
        let near = match &selector.what {
            What::Tag(tag) => nearest(tag, self.tags.values().flatten().map(String::as_str))
                .map(|t| format!("tag:{t}")),
            What::Pattern(name) => nearest(name, names().map(String::as_str)).map(str::to_owned),
        };
        Err(match near {
            Some(near) => error.with_hint(format!("did you mean {near}?")),
            None => error.with_hint("`throng ls` lists the segments"),
        })
    }

    fn spread(name: &str, into: &mut BTreeSet<String>, next: &dyn Fn(&str) -> Vec<String>) {
        let mut stack = vec![name.to_owned()];
        while let Some(name) = stack.pop() {
            for other in next(&name) {
                if into.insert(other.clone()) {
                    stack.push(other);
                }
            }
        }
    }

    /// Every segment that needs itself, in a cycle that begins with the first of them by name.
    fn find_cycles(&self) -> Vec<Vec<String>> {
        let mut cycles: Vec<Vec<String>> = Vec::new();
        for name in self.needs.keys() {
            if cycles.iter().any(|cycle| cycle.contains(name)) {
                continue;
            }
            if let Some(path) = self.path_back(name) {
                cycles.push(path);
            }
        }
        cycles
    }

    /// The shortest way from `start` along needs back to it.
    fn path_back(&self, start: &str) -> Option<Vec<String>> {
        let mut paths = std::collections::VecDeque::from([vec![start.to_owned()]]);
        let mut seen = BTreeSet::new();
        while let Some(path) = paths.pop_front() {
            let end = path.last()?.clone();
            for next in self.needs(&end) {
                if next == start {
                    return Some(path);
                }
                if seen.insert(next.to_owned()) {
                    let longer = path.iter().cloned().chain([next.to_owned()]).collect();
                    paths.push_back(longer);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        let mut graph = Graph::default();
        for (name, needs) in edges {
            let needs = needs.iter().map(|n| (*n).to_owned()).collect();
            graph.needs.insert((*name).to_owned(), needs);
        }
        graph.tags.insert("a".to_owned(), vec!["value".to_owned()]);
        graph.linked()
    }

    fn select(graph: &Graph, selectors: &[&str]) -> Vec<String> {
        let selectors: Vec<_> = selectors.iter().map(|s| Selector::parse(s)).collect();
        graph.select(&selectors).expect("selects").into_iter().collect()
    }

    #[test]
    fn levels_put_needs_first() {
        let graph = graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[]), ("d", &[])]);
        assert_eq!(graph.levels(), [vec!["c", "d"], vec!["b"], vec!["a"]]);
    }

    #[test]
    fn selectors_take_names_globs_tags_and_neighbours() {
        let graph = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &[]), ("x1", &[]), ("x2", &[])]);
        assert_eq!(select(&graph, &["x*"]), ["x1", "x2"]);
        assert_eq!(select(&graph, &["tag:value"]), ["a"]);
        assert_eq!(select(&graph, &["+b"]), ["b", "c"]);
        assert_eq!(select(&graph, &["b+"]), ["a", "b"]);
        assert_eq!(select(&graph, &["+b+"]), ["a", "b", "c"]);
        let error = graph.select(&[Selector::parse("x3")]).unwrap_err();
        assert_eq!(error.hints(), ["did you mean x1?"]);
    }

    #[test]
    fn a_cycle_is_printed_and_its_dependants_are_not_in_it() {
        let graph = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &[])]);
        let error = graph.cycle("c").expect("a cycle");
        assert_eq!(error.message(), "segments need each other: b -> c -> b");
        assert!(graph.cycle("a").is_none() && graph.cycle("d").is_none());
        assert_eq!(graph.levels(), [vec!["d"], vec!["a", "b", "c"]]);
    }
}
