//! The table that shows what a model is made of.

use crate::module::Path;
use crate::{Module, Param, Segment, Visitor};
use osnova_tensor::Shape;
use std::fmt;

/// The layers of a model with their output shapes and parameters, as [`Module::summary`] gives it. `Display` prints the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The layers in order.
    pub rows: Vec<SummaryRow>,
    /// How many numbers all parameters hold.
    pub total: usize,
    /// How many of them are trained.
    pub trainable: usize,
}

/// A layer in a [`Summary`]: a module that holds no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryRow {
    /// The dotted name; empty for a model that is a single layer.
    pub name: String,
    /// The layer's type.
    pub kind: &'static str,
    /// The output's shape, if it can be told.
    pub output: Option<Shape>,
    /// How many numbers its parameters hold.
    pub parameters: usize,
}

impl Summary {
    /// The summary of a module, for an input of a shape if one is given.
    pub fn of(module: &dyn Module, input: Option<Shape>) -> Self {
        let mut table = Table { path: Path::default(), open: Vec::new(), rows: Vec::new(), trainable: 0, shape: input };
        module.visit(&mut table);
        let total = table.rows.iter().map(|row| row.parameters).sum();
        Self { rows: table.rows, total, trainable: table.trainable }
    }
}

/// A module that has begun and not ended.
struct Open<'a> {
    module: &'a dyn Module,
    /// Where its row would stand.
    place: usize,
    name: String,
    /// The shape that comes in, as far as it is known.
    input: Option<Shape>,
    /// Parameters of its own.
    parameters: usize,
    has_children: bool,
}

struct Table<'a> {
    path: Path,
    open: Vec<Open<'a>>,
    rows: Vec<SummaryRow>,
    trainable: usize,
    /// What the layers so far make of the input, as far as it is known.
    shape: Option<Shape>,
}

impl<'a> Visitor<'a> for Table<'a> {
    fn enter(&mut self, segment: Segment<'_>) {
        self.path.enter(segment);
    }
    fn leave(&mut self) {
        self.path.leave();
    }
    fn begin(&mut self, module: &'a dyn Module) {
        if let Some(outer) = self.open.last_mut() {
            outer.has_children = true;
        }
        let name = self.path.name().to_owned();
        let (place, input) = (self.rows.len(), self.shape);
        self.open.push(Open { module, place, name, input, parameters: 0, has_children: false });
    }
    fn end(&mut self) {
        let Some(Open { module, place, name, input, parameters, has_children }) = self.open.pop() else { return };
        let output = input.and_then(|input| module.output_shape(&input));
        // A container that does not know its output runs its layers one after another, as far as can be told.
        self.shape = if has_children { output.or(self.shape) } else { output };
        // It has a row only for parameters that stand in none of its layers.
        if !has_children || parameters > 0 {
            self.rows.insert(place, SummaryRow { name, kind: module.kind(), output, parameters });
        }
    }
    fn parameter(&mut self, parameter: &'a Param) {
        let count = parameter.count();
        self.trainable += if parameter.is_trainable() { count } else { 0 };
        match self.open.last_mut() {
            Some(open) => open.parameters += count,
            None => {
                let name = self.path.name().to_owned();
                self.rows.push(SummaryRow { name, kind: "Param", output: None, parameters: count });
            }
        }
    }
}

/// A count with a comma between each three digits.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = vec![["Layer", "Kind", "Output", "Parameters"].map(str::to_owned)];
        for row in &self.rows {
            let name = if row.name.is_empty() { "(model)".to_owned() } else { row.name.clone() };
            let output = row.output.map_or_else(|| "-".to_owned(), |shape| shape.to_string());
            table.push([name, row.kind.to_owned(), output, grouped(row.parameters)]);
        }
        table.push(["Total".to_owned(), String::new(), String::new(), grouped(self.total)]);
        let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths = [width(0), width(1), width(2), width(3)];
        let line = "-".repeat(widths.iter().sum::<usize>() + 6);
        for (index, [name, kind, output, parameters]) in table.iter().enumerate() {
            if index == 1 || index == table.len() - 1 {
                writeln!(f, "{line}")?;
            }
            let [first, second, third, fourth] = widths;
            writeln!(f, "{name:first$}  {kind:second$}  {output:third$}  {parameters:>fourth$}")?;
        }
        if self.trainable != self.total {
            writeln!(f, "{} trained, {} frozen", grouped(self.trainable), grouped(self.total - self.trainable))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(
            [0, 7, 999, 1_000, 235_146, 1_000_000].map(grouped),
            ["0", "7", "999", "1,000", "235,146", "1,000,000"]
        );
    }
}
