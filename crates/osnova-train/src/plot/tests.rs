//! What a reader of any chart may rely on: well-formed XML, every name there, nothing clipped or
//! written over something else, no number that breaks it.

use std::fs;

use roxmltree::{Document, Node};

use super::svg::text_width;
use super::{ConfusionChart, Heatmap, Histogram, LineChart, ScatterChart};

/// A text's box in the picture, by the same estimate the layout goes by.
#[derive(Debug)]
struct TextBox {
    content: String,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

fn attribute(node: Node<'_, '_>, name: &str) -> f64 {
    let text = node.attribute(name);
    let text = text.unwrap_or_else(|| panic!("{node:?} has no {name}"));
    text.parse().expect(text)
}

fn text_box(node: Node<'_, '_>) -> TextBox {
    let (x, y, size) = (attribute(node, "x"), attribute(node, "y"), attribute(node, "font-size"));
    let content = node.text().unwrap_or("").to_owned();
    let width = text_width(&content, size);
    let start = match node.attribute("text-anchor") {
        Some("middle") => -width / 2.0,
        Some("end") => -width,
        _ => 0.0,
    };
    // Ascent and descent of the letters that occur in the tests.
    let (left, right, top, bottom) = (start, start + width, -0.74 * size, 0.2 * size);
    match node.attribute("transform") {
        // Turned by -90°: (x, y) goes to (y, -x).
        Some(_) => TextBox { content, left: x + top, right: x + bottom, top: y - right, bottom: y - left },
        None => TextBox { content, left: x + left, right: x + right, top: y + top, bottom: y + bottom },
    }
}

/// Parses the picture and checks that its texts lie inside it and apart; returns them.
pub(super) fn legible_texts(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error} in\n{svg}"));
    let root = document.root_element();
    let (width, height) = (attribute(root, "width"), attribute(root, "height"));
    let is_text = |node: &Node<'_, '_>| node.has_tag_name("text");
    let boxes: Vec<_> = document.descendants().filter(is_text).map(text_box).collect();
    for (index, text) in boxes.iter().enumerate() {
        assert!(
            text.left >= 0.0 && text.top >= 0.0 && text.right <= width && text.bottom <= height,
            "{text:?} is cut off by {width} × {height}"
        );
        for other in &boxes[..index] {
            let apart = text.right <= other.left
                || other.right <= text.left
                || text.bottom <= other.top
                || other.bottom <= text.top;
            assert!(apart, "{text:?} overlaps {other:?}");
        }
    }
    for forbidden in ["NaN", "inf"] {
        let in_attribute = document
            .descendants()
            .flat_map(|node| node.attributes())
            .any(|attribute| attribute.value().contains(forbidden));
        assert!(!in_attribute, "{forbidden} in a coordinate:\n{svg}");
    }
    boxes.into_iter().map(|text| text.content).collect()
}

fn count_tags(svg: &str, tag: &str) -> usize {
    let document = Document::parse(svg).expect("well-formed");
    document.descendants().filter(|node| node.has_tag_name(tag)).count()
}

#[test]
fn a_line_chart_shows_every_name_and_round_ticks() {
    let svg = LineChart::new("Loss <by epoch> & \"more\"")
        .x_label("epoch")
        .y_label("cross-entropy")
        .values("train", (1..=20).map(|epoch| 2.0 / f64::from(epoch)))
        .values("valid 'A'", (1..=20).map(|epoch| 2.1 / f64::from(epoch)))
        .marker("best epoch", 17.0)
        .to_svg();
    let texts = legible_texts(&svg);
    for expected in [
        "Loss <by epoch> & \"more\"",
        "epoch",
        "cross-entropy",
        "train",
        "valid 'A'",
        "best epoch",
        "10",
        "20",
        "0.5",
        "2.0",
    ] {
        assert!(texts.iter().any(|text| text == expected), "{expected}: {texts:?}");
    }
    assert_eq!(count_tags(&svg, "polyline"), 2);
}

#[test]
fn a_point_lies_where_the_axes_say() {
    // Two points on gridlines: the curve's ends must meet the ticks' pixels.
    let svg = LineChart::new("").values("only", [1.0, 3.0]).to_svg();
    let document = Document::parse(&svg).expect("well-formed");
    let polyline = document.descendants().find(|node| node.has_tag_name("polyline")).expect("a curve");
    let points = polyline.attribute("points").expect("points");
    let numbers: Vec<f64> = points.split([' ', ',']).map(|number| number.parse().expect("a number")).collect();
    let tick = |label: &str, end: bool| {
        document
            .descendants()
            .filter(|node| node.text() == Some(label) && node.has_tag_name("text"))
            .find(|node| (node.attribute("text-anchor") == Some("end")) == end)
            .unwrap_or_else(|| panic!("no tick {label}"))
    };
    assert_eq!(numbers[0], attribute(tick("1", false), "x"));
    assert_eq!(numbers[2], attribute(tick("2", false), "x"));
    let baseline = 12.0 * 0.35;
    assert!((numbers[1] + baseline - attribute(tick("1.0", true), "y")).abs() < 0.02);
    assert!((numbers[3] + baseline - attribute(tick("3.0", true), "y")).abs() < 0.02);
}

#[test]
fn a_gap_parts_the_curve_and_a_lone_point_is_a_dot() {
    let values = [1.0, 2.0, f64::NAN, 3.0, f64::INFINITY, 4.0, 5.0];
    let svg = LineChart::new("gaps").values("a", values).to_svg();
    legible_texts(&svg);
    assert_eq!(count_tags(&svg, "polyline"), 2);
    assert_eq!(count_tags(&svg, "circle"), 5);

    let svg = LineChart::new("log").values("a", [1.0, 0.1, 0.0, -1.0, 0.01]);
    let svg = svg.log_y().to_svg();
    assert!(legible_texts(&svg).contains(&"0.1".to_owned()));
    assert_eq!(count_tags(&svg, "polyline"), 1);

    let points = [(-1.0, 1.0), (0.0, 1.0), (1.0, 1.0), (10.0, 2.0), (1000.0, 3.0)];
    let svg = LineChart::new("log").series("a", points).log_x().to_svg();
    let texts = legible_texts(&svg);
    assert!(["1", "10", "100", "1000"].iter().all(|tick| texts.iter().any(|text| text == tick)), "{texts:?}");
    assert_eq!(count_tags(&svg, "circle"), 3);
}

#[test]
fn markers_that_are_near_each_other_do_not_overlap() {
    let chart = LineChart::new("markers")
        .values("loss", (0..50).map(f64::from))
        .marker("best validation loss", 49.0)
        .marker("learning rate halved", 48.0)
        .marker("first epoch", 1.0)
        .marker("warm-up ends", 2.0)
        .marker("beyond the curves", 70.0)
        .marker("nowhere", f64::NAN);
    let texts = legible_texts(&chart.to_svg());
    assert!(texts.contains(&"learning rate halved".to_owned()));
    assert!(!texts.contains(&"beyond the curves".to_owned()));
    assert!(!texts.contains(&"nowhere".to_owned()));
}

#[test]
fn long_names_and_many_series_stay_inside() {
    for (width, height) in [(0, 0), (280, 220), (720, 440), (1600, 300), (u32::MAX, 500)] {
        let mut line = LineChart::new("a title that goes on and on ".repeat(9))
            .x_label("an x axis with a long name ".repeat(9))
            .y_label("a y axis with a long name ".repeat(9))
            .size(width, height);
        let mut scatter = ScatterChart::new("clouds").size(width, height);
        for index in 0..40 {
            let name = format!("series {index} {}", "WWWW ".repeat(index % 7));
            let points = (0..4).map(|x| (f64::from(x), f64::from(x) * 1234.5));
            line = line.series(name.clone(), points.clone());
            scatter = scatter.series(name, points);
        }
        legible_texts(&line.to_svg());
        let texts = legible_texts(&scatter.to_svg());
        assert!(texts.iter().any(|text| text.starts_with("series 0")));
    }
}

#[test]
fn degenerate_numbers_make_a_picture_all_the_same() {
    let extreme = [
        0.0,
        -0.0,
        1.0,
        f64::MIN_POSITIVE,
        5e-324,
        f64::MAX,
        f64::MIN,
        1e-9,
        -1e17,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    for first in extreme {
        for second in extreme {
            let points = [(first, second), (second, first)];
            for chart in [
                LineChart::new("extreme").series("a", points),
                LineChart::new("extreme").series("a", points).log_y(),
                LineChart::new("extreme").series("a", points).log_x().log_y(),
                LineChart::new("extreme").values("a", [first, second]),
                LineChart::new("one").values("a", [first]),
                LineChart::new("range").values("a", [1.0, 2.0]).y_range(first, second),
            ] {
                legible_texts(&chart.to_svg());
            }
            legible_texts(&ScatterChart::new("extreme").series("a", points).to_svg());
            legible_texts(&Histogram::new("extreme", [first, second]).to_svg());
            legible_texts(&Heatmap::new("extreme", [[first, second]]).to_svg());
            let map = Heatmap::new("extreme", [[first], [second]]);
            legible_texts(&map.annotate(2).color_range(first, second).to_svg());
        }
    }
}

#[test]
fn nothing_to_show_is_said() {
    let nothing: [[f64; 0]; 0] = [];
    let no_counts: [[u64; 0]; 0] = [];
    let no_names: [&str; 0] = [];
    for svg in [
        LineChart::new("none").x_label("epoch").y_label("loss").to_svg(),
        LineChart::new("none").values("empty", []).to_svg(),
        LineChart::new("none").values("never", [f64::NAN]).log_y().to_svg(),
        LineChart::new("none").series("never", [(0.0, 1.0)]).log_x().to_svg(),
        ScatterChart::new("none").to_svg(),
        Histogram::new("none", [f64::NAN]).to_svg(),
        Heatmap::new("none", nothing).y_label("rows").x_label("columns").to_svg(),
        Heatmap::new("none", [[], []] as [[f64; 0]; 2]).to_svg(),
        ConfusionChart::new("none", no_names, no_counts).to_svg(),
    ] {
        let texts = legible_texts(&svg);
        assert!(texts.contains(&"no data".to_owned()), "{texts:?}");
    }
}

#[test]
fn a_histogram_counts_and_says_what_it_left_out() {
    let values = [0.0, 0.1, 0.2, 0.9, 1.0, f64::NAN, f64::INFINITY];
    let svg = Histogram::new("weights", values).bins(2).x_label("weight").to_svg();
    let texts = legible_texts(&svg);
    assert!(texts.contains(&"2 values that are not finite are left out".to_owned()));
    assert!(svg.contains("<title>0.0000 to 0.5000: 3</title>"), "{svg}");
    assert!(svg.contains("<title>0.5000 to 1.0000: 2</title>"), "{svg}");
}

#[test]
fn a_confusion_matrix_shows_counts_names_and_accuracy() {
    let counts = [vec![30, 1, 0], vec![2, 7, 0], vec![0, 0, 1000]];
    let svg = ConfusionChart::new("Test set", ["cat", "<dog>", "a very long class name"], counts);
    let svg = svg.to_svg();
    let texts = legible_texts(&svg);
    for expected in ["cat", "<dog>", "predicted", "true", "30", "1000", "a very long class name"] {
        assert!(texts.iter().any(|text| text == expected), "{expected}: {texts:?}");
    }
    assert!(texts.iter().any(|text| text.starts_with("1037 of 1040 right, 99.71 %")));
    assert!(svg.contains("true cat, predicted &lt;dog&gt;: 1 (3.2 %)"));
    // The colour is the share of the row: 7 of 9 is darker than 2 of 9 though rare.
    assert_eq!(count_tags(&svg, "rect"), 1 + 9);
}

#[test]
fn a_matrix_of_any_size_is_legible() {
    for classes in [1usize, 2, 3, 10, 26, 100, 300] {
        let names: Vec<_> = (0..classes).map(|class| format!("class {class}")).collect();
        let counts = (0..classes).map(|row| (0..classes).map(move |column| if row == column { 123 } else { 0 }));
        let svg = ConfusionChart::new("m", names.clone(), counts).to_svg();
        let texts = legible_texts(&svg);
        assert!(texts.contains(&"class 0".to_owned()));
        assert_eq!(count_tags(&svg, "rect"), 1 + classes * classes);

        let rows = (0..classes).map(|row| (0..classes).map(move |column| (row * column) as f64));
        let svg = Heatmap::new("products of rows and columns", rows)
            .row_names(names)
            .x_label("column")
            .y_label("row")
            .annotate(1)
            .to_svg();
        legible_texts(&svg);
    }
}

#[test]
fn a_ragged_matrix_has_grey_cells_and_missing_counts_are_zero() {
    let svg = Heatmap::new("ragged", [vec![1.0, 2.0, 3.0], vec![4.0]]).to_svg();
    assert_eq!(svg.matches("#cfcfcf").count(), 2);
    let svg = ConfusionChart::new("ragged", ["a"], [vec![1, 2], vec![]]).to_svg();
    let texts = legible_texts(&svg);
    assert_eq!(texts.iter().filter(|text| *text == "0").count(), 2, "{texts:?}");
}

#[test]
fn characters_xml_forbids_do_not_break_the_file() {
    let name = "bell\u{7} null\0 line\nbreak \u{ffff} 数字 é 🦀 ]]> --";
    let svg = LineChart::new(name).values(name, [1.0, 2.0]).to_svg();
    let texts = legible_texts(&svg);
    assert!(texts.iter().any(|text| text.contains("line break") && text.contains("数字 é 🦀 ]]>")));
}

#[test]
fn saving_replaces_the_whole_file_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("loss.svg");
    fs::write(&path, "x".repeat(1_000_000)).expect("an older, longer file");
    let chart = LineChart::new("Loss").values("train", [3.0, 2.0, 1.0]);
    chart.save(&path).expect("saved");
    assert_eq!(fs::read_to_string(&path).expect("readable"), chart.to_svg());
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
}

#[test]
fn a_failed_save_names_the_file_and_keeps_the_old_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let chart = Histogram::new("weights", [1.0]);
    let missing = folder.path().join("nowhere").join("weights.svg");
    let error = chart.save(&missing).expect_err("no such folder");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("weights.svg"), "{error}");

    // A folder of that name cannot be replaced by a file.
    let taken = folder.path().join("taken.svg");
    fs::create_dir(&taken).expect("a folder");
    fs::write(taken.join("kept"), "kept").expect("a file in it");
    chart.save(&taken).expect_err("a folder is in the way");
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);

    let error = chart.save("..").expect_err("no file name");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
