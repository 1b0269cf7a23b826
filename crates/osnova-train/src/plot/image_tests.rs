//! What a reader of grids of images and of pages may rely on.

use super::png::tests::decode;
use super::tests::legible_texts;
use super::{ImageGrid, ImageShape, LineChart, Page};
use osnova_cpu::CpuDevice;
use osnova_tensor::{DType, Device, Generator, Tensor};
use proptest::prelude::*;
use roxmltree::{Document, ParsingOptions};
use std::fs;

fn shape(dims: &[usize]) -> ImageShape {
    ImageShape::of(dims).unwrap()
}

fn tensor(values: &[f64], dims: &[usize]) -> Tensor {
    Tensor::from_slice(values, dims, Device::cpu()).unwrap()
}

#[test]
fn shapes_are_those_of_images() {
    assert_eq!(ImageShape::of(&[3, 4, 5]).unwrap(), ImageShape { channels: 3, height: 4, width: 5 });
    assert_eq!(ImageShape::square(1).unwrap().values(), 1);
    for wrong in [&[][..], &[784], &[2, 8, 8], &[0, 8, 8], &[0, 8], &[8, 0], &[1, 1, 8, 8], &[3, usize::MAX, 2]] {
        assert!(ImageShape::of(wrong).is_err(), "{wrong:?}");
    }
    for wrong in [0, 2, 783, usize::MAX] {
        assert!(ImageShape::square(wrong).is_err(), "{wrong}");
    }
    let message = ImageShape::of(&[784]).unwrap_err().to_string();
    assert!(message.contains("ImageShape::square"), "{message}");
}

#[test]
fn greys_are_scaled_cut_off_and_set_apart_by_white() {
    let images = tensor(&[0.0, 1.0, -3.0, f64::INFINITY], &[2, 1, 2]);
    let grid = ImageGrid::new("", shape(&[1, 2])).scale(2).row("a", &images).unwrap();
    let grid = grid.row("b", &tensor(&[0.5, 0.25], &[1, 2])).unwrap();
    let (width, grey, pixels) = decode(&grid.to_png().unwrap());
    assert!(grey);
    assert_eq!(width, 4 + 2 + 4);
    let white = [255; 10];
    let first = [0, 0, 255, 255, 255, 255, 0, 0, 255, 255];
    let second = [128, 128, 64, 64, 255, 255, 255, 255, 255, 255];
    assert_eq!(pixels, [first, first, white, white, second, second].concat());
}

#[test]
fn a_nan_is_magenta_and_the_range_may_be_another() {
    let images = tensor(&[-1.0, f64::NAN, 0.0, 3.0], &[1, 2, 2]);
    let grid = ImageGrid::new("", shape(&[2, 2])).scale(1).range(-1.0, 1.0).row("", &images).unwrap();
    let (width, grey, pixels) = decode(&grid.to_png().unwrap());
    assert_eq!((width, grey), (2, false));
    assert_eq!(pixels, [[0; 3], [255, 0, 255], [128; 3], [255; 3]].concat());
}

#[test]
fn colours_lie_channel_by_channel() {
    let images = tensor(&[1.0, 0.0, 0.0, 0.2, 0.0, 1.0], &[1, 3, 1, 2]);
    let grid = ImageGrid::new("", shape(&[3, 1, 2])).scale(1).row("", &images).unwrap();
    assert_eq!(decode(&grid.to_png().unwrap()).2, [255, 0, 0, 0, 51, 255]);
}

proptest! {
    #[test]
    fn every_pixel_of_every_image_is_in_its_place(
        count in 1usize..8, columns in 1usize..5, height in 1usize..5, width in 1usize..5, scale in 1usize..4,
    ) {
        let values: Vec<f64> = (0..count * height * width).map(|index| (index % 251) as f64).collect();
        let images = tensor(&values, &[count, height * width]);
        let grid = ImageGrid::new("", shape(&[height, width])).scale(scale).range(0.0, 255.0);
        let (picture_width, _, pixels) = decode(&grid.rows_of(columns, &images).unwrap().to_png().unwrap());
        let shown = columns.min(count);
        prop_assert_eq!(picture_width, shown * (width * scale + 2) - 2);
        let mut seen = vec![255; pixels.len()];
        for (index, value) in values.iter().enumerate() {
            let (image, y, x) = (index / (height * width), index / width % height, index % width);
            for part in 0..scale * scale {
                let row = image / columns * (height * scale + 2) + y * scale + part / scale;
                let column = image % columns * (width * scale + 2) + x * scale + part % scale;
                seen[row * picture_width + column] = *value as u8;
            }
        }
        prop_assert_eq!(pixels, seen);
    }
}

#[test]
fn wrong_images_are_refused() {
    let grid = || ImageGrid::new("grid", shape(&[2, 2]));
    let images = tensor(&[0.0; 8], &[2, 4]);
    for wrong in [
        tensor(&[], &[0, 4]),
        tensor(&[0.0; 6], &[2, 3]),
        tensor(&[0.0; 4], &[4]),
        tensor(&[0.0], &[]),
        tensor(&[], &[2, 0]),
    ] {
        assert!(grid().row("", &wrong).is_err(), "{wrong:?}");
        assert!(grid().rows_of(1, &wrong).is_err(), "{wrong:?}");
    }
    assert!(grid().rows_of(0, &images).is_err());
    assert!(grid().rows_of(usize::MAX, &images).is_err());
    assert!(grid().to_png().unwrap_err().to_string().contains("no images"));
    assert!(grid().to_svg().is_err());
    for (low, high) in [(1.0, 1.0), (1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (f64::MIN, f64::MAX)] {
        assert!(grid().row("", &images).unwrap().range(low, high).to_png().is_err(), "{low} {high}");
    }
    for (channels, height, width) in [(0, 2, 2), (2, 1, 2), (1, 0, 4), (1, 4, 0), (1, usize::MAX, 4)] {
        let impossible = ImageGrid::new("", ImageShape { channels, height, width });
        assert!(impossible.row("", &images).is_err());
    }
    let large = tensor(&vec![0.0; 1 << 18], &[1, 1 << 18]);
    let large = ImageGrid::new("", shape(&[1, 1 << 18])).scale(64).row("", &large).unwrap();
    let message = large.to_png().unwrap_err().to_string();
    assert!(message.contains("lower scale"), "{message}");
}

#[test]
fn labels_are_there_and_nothing_is_cut_off_or_overlaps() {
    let long = "a label that goes on and on ".repeat(9);
    let texts_of = [("T", "", ["r", "c"]), ("", "n", ["−1.28", "-1.28"]), (&long, &long, [&long; 2])];
    for (side, scale) in [(1, 1), (1, 2), (3, 1), (8, 1), (8, 4), (28, 2)] {
        for (rows, columns) in [(1, 1), (3, 2), (12, 10)] {
            for (title, note, labels) in texts_of {
                let images = Tensor::zeros([columns, side, side], DType::F32, Device::cpu()).unwrap();
                let mut grid = ImageGrid::new(title, shape(&[side, side])).note(note).scale(scale);
                for _ in 0..rows {
                    grid = grid.row(labels[0], &images).unwrap();
                }
                // More labels than columns: those left over have no place.
                let svg = grid.column_labels(vec![labels[1]; columns + 3]).to_svg().unwrap();
                let texts = legible_texts(&svg);
                let first = |text: &str| text.chars().next();
                for label in labels {
                    assert!(texts.iter().any(|text| first(text) == first(label)), "{label}: {texts:?}");
                }
                assert!(texts.len() <= 2 + rows + columns);
            }
        }
    }
}

#[test]
fn the_picture_in_the_svg_is_the_png_and_inside() {
    let images = Tensor::uniform([3, 8, 8], 0.0, 1.0, DType::F32, &Generator::new(1), Device::cpu()).unwrap();
    let grid = ImageGrid::new("<&\">", shape(&[8, 8])).row("<&\">", &images).unwrap();
    let svg = grid.to_svg().unwrap();
    assert_eq!(legible_texts(&svg), ["<&\">"; 2]);
    let document = Document::parse(&svg).unwrap();
    let image = document.descendants().find(|node| node.has_tag_name("image")).unwrap();
    let number = |node: roxmltree::Node<'_, '_>, name| node.attribute(name).unwrap().parse::<f64>().unwrap();
    for (start, length) in [("x", "width"), ("y", "height")] {
        let (start, size) = (number(image, start), number(image, length));
        assert!(start >= 0.0 && start + size <= number(document.root_element(), length));
    }
    assert_eq!((number(image, "width"), number(image, "height")), (3.0 * 64.0 + 4.0, 64.0));
    assert!(image.attribute("style").unwrap().contains("pixelated"));
    let expected = super::png::data_uri("image/png", &grid.to_png().unwrap());
    assert_eq!(image.attribute("href"), Some(expected.as_str()));
}

#[test]
fn files_are_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let images = tensor(&[0.5; 4], &[1, 2, 2]);
    let grid = ImageGrid::new("grid", shape(&[2, 2])).row("", &images).unwrap();
    let page = Page::new("page");
    let place = folder.path().join("new");
    grid.save_png(place.join("grid.png")).unwrap();
    grid.save_svg(place.join("grid.svg")).unwrap();
    page.save(place.join("page.html")).unwrap();
    assert_eq!(fs::read(place.join("grid.png")).unwrap(), grid.to_png().unwrap());
    assert_eq!(fs::read_to_string(place.join("grid.svg")).unwrap(), grid.to_svg().unwrap());
    assert_eq!(fs::read_to_string(place.join("page.html")).unwrap(), page.to_html());
    assert_eq!(fs::read_dir(&place).unwrap().count(), 3);
    // A file is in the way.
    let blocked = place.join("grid.png").join("grid");
    for error in [grid.save_png(&blocked), grid.save_svg(&blocked), page.save(&blocked)].map(Result::unwrap_err) {
        assert!(error.to_string().contains("grid.png"), "{error}");
    }
}

#[test]
fn a_page_is_one_well_formed_file_that_shows_texts_as_they_are() {
    let nasty = "<script>&\"'</script> \u{0}\u{7} ü 数";
    let svg = LineChart::new(nasty).values("loss", [1.0, 0.5]).to_svg();
    let png = ImageGrid::new("", shape(&[1, 1])).row("", &tensor(&[0.5], &[1, 1])).unwrap().to_png().unwrap();
    let page = Page::new(nasty)
        .section(nasty)
        .text(nasty)
        .svg(nasty, &svg)
        .png(nasty, &png)
        .table([nasty, "value"], [["β", "-1.5"], [nasty, "1e3"]])
        .table([] as [&str; 0], [] as [[&str; 0]; 0]);
    let html = page.to_html();
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(&html, options).unwrap();
    let shown = "<script>&\"'</script> \u{fffd}\u{fffd} ü 数";
    let texts = |tag: &str| -> Vec<&str> {
        let nodes = document.descendants().filter(|node| node.has_tag_name(tag));
        nodes.map(|node| node.text().unwrap_or("")).collect()
    };
    for tag in ["title", "h1", "h2", "p"] {
        assert_eq!(texts(tag), [shown], "{tag}");
    }
    assert_eq!(texts("figcaption"), [shown; 2]);
    assert_eq!(texts("th"), [shown, "value"]);
    assert_eq!(texts("td"), ["β", "-1.5", shown, "1e3"]);
    let numbers = document.descendants().filter(|node| node.attribute("class") == Some("number"));
    assert_eq!(numbers.map(|node| node.text().unwrap()).collect::<Vec<_>>(), ["-1.5", "1e3"]);
    let pictures: Vec<_> = document.descendants().filter(|node| node.has_tag_name("img")).collect();
    assert!(pictures.iter().all(|picture| picture.attribute("alt") == Some(shown)));
    assert_eq!(pictures[0].attribute("src"), Some(super::png::data_uri("image/svg+xml", svg.as_bytes()).as_str()));
    assert_eq!(pictures[1].attribute("src"), Some(super::png::data_uri("image/png", &png).as_str()));
    // It runs nothing and asks nothing of the net.
    for node in document.descendants() {
        assert!(!["script", "link", "iframe", "object"].contains(&node.tag_name().name()));
        for name in ["src", "href"] {
            assert!(node.attribute(name).is_none_or(|value| value.starts_with("data:")));
        }
    }
    assert!(!html.contains("url(") && !html.contains("@import"));
    assert!(html.contains("viewport") && html.contains("prefers-color-scheme: dark"));
}
