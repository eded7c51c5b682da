//! The words that a query looks for: text that a column is held against.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::model::tables;

use super::plan::Plan;

impl Plan {
    /// The columns and the text that they have to be equal to, or may be, as far as the query says so in
    /// plain words.
    pub fn words(&self) -> BTreeSet<(String, String)> {
        let mut words = BTreeSet::new();
        let walked = self.logical().apply_with_subqueries(|node| {
            node.apply_expressions(|expression| {
                words.extend(words_of(expression));
                Ok(TreeNodeRecursion::Continue)
            })
        });
        // The closures never fail.
        drop(walked);
        words
    }

    /// Whether it looks for events called `name`.
    pub fn looks_for_event(&self, name: &str) -> bool {
        self.words().iter().any(|(column, word)| column == tables::EVENT && word == name)
    }
}

/// The words in `condition`, with the columns that may be equal to them.
pub fn words_of(condition: &Expr) -> BTreeSet<(String, String)> {
    let mut words = BTreeSet::new();
    let walked = condition.apply(|e| {
        words.extend(of(e));
        Ok(TreeNodeRecursion::Continue)
    });
    // The closure never fails.
    drop(walked);
    words
}

fn of(expression: &Expr) -> Vec<(String, String)> {
    let pair = |column: &Expr, value: &Expr| match (column, value) {
        (Expr::Column(column), Expr::Literal(value, _)) => {
            Some((column.name.clone(), text(value)?))
        }
        _ => None,
    };
    match expression {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            pair(left, right).or_else(|| pair(right, left)).into_iter().collect()
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            list.iter().filter_map(|value| pair(expr, value)).collect()
        }
        _ => Vec::new(),
    }
}

fn text(value: &ScalarValue) -> Option<String> {
    value.try_as_str().flatten().map(str::to_owned)
}
