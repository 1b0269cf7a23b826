//! CSV tables, good and bad; every error names the file, the row and the column.

use flate2::{Compression, write::GzEncoder};
use osnova_data::{ArrayDataset, Column, CsvReader, DataError, Dataset, MissingValues, Source, TargetKind};
use proptest::prelude::*;
use std::io::Write;

fn read(reader: CsvReader, text: impl AsRef<[u8]>) -> Result<ArrayDataset, DataError> {
    reader.read_from(text.as_ref(), "table.csv")
}

fn message(reader: CsvReader, text: impl AsRef<[u8]>) -> String {
    let error = read(reader, text).unwrap_err();
    assert!(matches!(error, DataError::Table { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn targets_by_name_by_index_and_last() {
    let text = "y,a,b\n1.5,2,3\n-4,5,6\n";
    let data = read(CsvReader::new().target_values(["y"]), text).unwrap();
    assert_eq!((data.features(), data.target_values()), (&[2.0, 3.0, 5.0, 6.0][..], Some(&[1.5, -4.0][..])));
    assert_eq!(data.feature_names().unwrap(), ["a", "b"]);
    let data = read(CsvReader::new().target_values([Column::Last, Column::Index(0)]), text).unwrap();
    assert_eq!(data.target_values(), Some(&[3.0, 1.5, 6.0, -4.0][..]));
    assert_eq!(data.target_kind(), TargetKind::Values { width: 2 });
    let data = read(CsvReader::new().has_header(false).target_classes(0_usize), "7,1\n5,2\n7,3\n").unwrap();
    assert_eq!((data.class_indices(), data.feature_names()), (Some(&[1, 0, 1][..]), None));
    assert_eq!(data.class_names().unwrap(), ["5", "7"]);
}

#[test]
fn numeric_labels_sort_by_value_and_text_by_letter() {
    let data = read(CsvReader::new().target_classes("y"), "x,y\n0,10\n0,9\n0,-1\n").unwrap();
    assert_eq!(
        (data.class_names().unwrap(), data.class_indices().unwrap()),
        (&["-1", "9", "10"].map(String::from)[..], &[2, 1, 0][..])
    );
    let data = read(CsvReader::new().target_classes("y"), "x,y\n0,b\n0,10\n0,a\n").unwrap();
    assert_eq!(data.class_names().unwrap(), ["10", "a", "b"]);
}

#[test]
fn fixed_classes_agree_between_files() {
    let reader = CsvReader::new().target_classes("y").classes(["no", "yes"]);
    assert_eq!(read(reader.clone(), "x,y\n1,yes\n").unwrap().class_indices(), Some(&[1][..]));
    assert_eq!(read(reader.clone(), "x,y\n1,yes\n").unwrap().class_count(), Some(2));
    let unknown = message(reader, "x,y\n1,yes\n2,maybe\n");
    assert!(unknown.starts_with("table.csv, row 3, column 2 \"y\": label \"maybe\""), "{unknown}");
    let twice = read(CsvReader::new().target_classes("y").classes(["no", "no"]), "x,y\n1,no\n").unwrap_err();
    assert!(matches!(twice, DataError::Argument { .. }), "{twice}");
}

#[test]
fn columns_are_chosen_ordered_ignored_and_categorised() {
    let text = "id,colour,size,name\n1,red,3,Ann\n2,blue,4,Bob\n3,red,5,Cy\n";
    let data = read(CsvReader::new().ignore(["id", "name"]).categorical(["colour"]), text).unwrap();
    assert_eq!(data.features(), [1.0, 3.0, 0.0, 4.0, 1.0, 5.0]);
    assert_eq!(data.categories(0).unwrap(), ["blue", "red"]);
    assert_eq!(data.categories(1), None);
    let data = read(CsvReader::new().features(["size", "id"]), text).unwrap();
    assert_eq!(
        (data.features(), data.feature_names().unwrap()),
        (&[3.0, 1.0, 4.0, 2.0, 5.0, 3.0][..], &["size", "id"].map(String::from)[..])
    );
}

#[test]
fn quotes_delimiters_blank_lines_spaces_and_byte_order_marks() {
    let text = "\u{feff}\"a; b\";y\r\n 1 ;\"two \"\"2\"\"\"\r\n\r\n3;four\r\n";
    let data = read(CsvReader::new().delimiter(b';').target_classes("y"), text).unwrap();
    assert_eq!((data.features(), data.feature_names().unwrap()), (&[1.0, 3.0][..], &["a; b".to_owned()][..]));
    assert_eq!(data.class_names().unwrap(), ["four", "two \"2\""]);
}

#[test]
fn missing_values_are_refused_or_become_nan() {
    let text = "x,y\n1,a\n,b\n?,a\nNA,b\n";
    let refused = message(CsvReader::new().target_classes("y"), text);
    assert!(refused.starts_with("table.csv, row 3, column 1 \"x\": the value is missing"), "{refused}");
    let data = read(CsvReader::new().target_classes("y").missing_values(MissingValues::Nan), text).unwrap();
    assert_eq!(data.features().iter().map(|value| value.is_nan()).collect::<Vec<_>>(), [false, true, true, true]);
    let own = CsvReader::new().missing_values(MissingValues::Nan).missing_markers(["-"]);
    assert!(read(own.clone(), "x\n-\n").unwrap().features()[0].is_nan());
    assert!(message(own, "x\nNA\n").contains("\"NA\" is not a number"));
    let target = message(CsvReader::new().target_classes("y").missing_values(MissingValues::Nan), "x,y\n1,\n");
    assert!(target.contains("row 2, column 2 \"y\": the target is missing"), "{target}");
    let category = CsvReader::new().categorical(["c"]).missing_values(MissingValues::Nan);
    let data = read(category, "c\nb\nNA\na\n").unwrap();
    assert!(data.features()[1].is_nan() && data.features()[0] == 1.0 && data.features()[2] == 0.0);
}

#[test]
fn bad_cells_are_named_by_row_and_column() {
    let bad = |text: &str| message(CsvReader::new(), text);
    assert!(bad("a,b\n1,2\n3,x4\n").starts_with("table.csv, row 3, column 2 \"b\": \"x4\" is not a number"));
    assert!(bad("a,b\n1,1e99\n").contains("row 2, column 2 \"b\": \"1e99\" is not a finite"));
    assert!(bad("a,b\n1,inf\n").contains("not a finite"));
    assert!(bad("a,b\n1,\"2,5\"\n").contains("\"2,5\" is not a number"));
    let plain = message(CsvReader::new().has_header(false), "1,2\n3,oops\n");
    assert!(plain.starts_with("table.csv, row 2, column 2: \"oops\""), "{plain}");
    let long = bad(&format!("a\n{}\n", "x".repeat(100_000)));
    assert!(long.len() < 300, "{} characters", long.len());
}

#[test]
fn ragged_rows_are_refused() {
    let short = message(CsvReader::new(), "a,b,c\n1,2,3\n4,5\n");
    assert!(short.starts_with("table.csv, row 3: the row has 2 cells, but the first line has 3"), "{short}");
    let long = message(CsvReader::new(), "a,b\n1,2\n\n3,4,5\n");
    assert!(long.contains("3 cells") && long.contains("row 4"), "{long}");
    // Rows are lines of the file, whatever ends them, and cells may span several.
    for (text, row) in [
        ("a,b\r\n1,2\r\n3\r\n", 3),
        ("a,b\r\n\r\n\r\n1,2\r\n\r\n3\r\n", 6),
        ("a,b\r1,2\r3\r", 3),
        ("\n\na,\"b\n\nb\"\n1,2\n\n3", 8),
        ("a,b\n1", 2),
    ] {
        let error = message(CsvReader::new(), text);
        assert!(error.starts_with(&format!("table.csv, row {row}: the row has 1 cells")), "{text:?}: {error}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_where_it_matters() {
    let cell = message(CsvReader::new().target_classes("y"), b"x,y\n1,gr\xfcn\n");
    assert!(cell.starts_with("table.csv, row 2, column 2 \"y\": byte 3 of the cell is not UTF-8"), "{cell}");
    let header = message(CsvReader::new(), b"x,\xff\n1,2\n");
    assert!(header.starts_with("table.csv, row 1, column 2: byte 1"), "{header}");
    assert!(read(CsvReader::new().ignore([1]), b"x,y\n1,gr\xfcn\n").is_ok());
}

#[test]
fn empty_files_and_files_without_rows_are_refused() {
    assert!(message(CsvReader::new(), "").starts_with("table.csv: the file is empty"));
    assert!(message(CsvReader::new(), "\n\n\n").contains("the file is empty"));
    assert!(message(CsvReader::new(), "a,b\n").contains("a header but no row"));
    assert!(message(CsvReader::new().has_header(false), "").contains("empty"));
}

#[test]
fn columns_that_do_not_exist_are_refused() {
    let unknown = message(CsvReader::new().target_classes("z"), "x,y\n1,2\n");
    assert!(unknown.contains("there is no column \"z\"") && unknown.contains("x, y"), "{unknown}");
    assert!(message(CsvReader::new().target_classes("x"), "x,x\n1,2\n").contains("more than one column"));
    assert!(message(CsvReader::new().target_classes(2), "x,y\n1,2\n").contains("no column with index 2"));
    assert!(message(CsvReader::new().has_header(false).target_classes("x"), "1,2\n").contains("without a header"));
    assert!(message(CsvReader::new().target_classes("x"), "x\n1\n").contains("no column is left"));
    assert!(message(CsvReader::new().target_classes("x").features(["x"]), "x,y\n1,2\n").contains("used twice"));
    assert!(message(CsvReader::new().target_classes("x").categorical(["x"]), "x,y\n1,2\n").contains("no feature"));
    assert!(message(CsvReader::new().target_classes("x").ignore(["x"]), "x,y\n1,2\n").contains("to be ignored"));
}

#[test]
fn files_are_found_unzipped_and_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let missing = CsvReader::new().read(directory.path().join("none.csv")).unwrap_err();
    assert!(matches!(missing, DataError::Io { .. }) && missing.to_string().contains("none.csv"), "{missing}");
    let path = directory.path().join("zipped.csv");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"a\n1\n").unwrap();
    std::fs::write(&path, encoder.finish().unwrap()).unwrap();
    let data = CsvReader::new().read(&path).unwrap();
    assert_eq!((data.features(), data.sources()), (&[1.0][..], &[Source::of_file(&path).unwrap()][..]));
}

#[test]
fn a_zipped_bomb_stops_at_the_limit() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"a\n").unwrap();
    (0..1000).for_each(|_| encoder.write_all(&b"1\n".repeat(10_000)).unwrap());
    let bomb = encoder.finish().unwrap();
    let error = read(CsvReader::new().max_bytes(1_000_000), bomb).unwrap_err();
    assert!(matches!(error, DataError::TooLarge { limit: 1_000_000, .. }), "{error}");
    assert!(read(CsvReader::new().max_bytes(4), "a\n1\n").is_ok());
    // One huge cell is no way around the limit, and an error at the cut is not blamed on the file's text.
    let cell = read(CsvReader::new().max_bytes(1000), format!("a\n{}", "1".repeat(5000))).unwrap_err();
    assert!(matches!(cell, DataError::TooLarge { .. }), "{cell}");
}

proptest! {
    #[test]
    fn numbers_survive(rows in prop::collection::vec(prop::array::uniform3(-1e30f32..1e30), 1..20)) {
        let mut text = String::from("a,b,c\n");
        for [a, b, c] in &rows {
            text.push_str(&format!("{a},{b:e},{c}\n"));
        }
        let data = read(CsvReader::new(), text).unwrap();
        prop_assert_eq!(data.features(), rows.concat());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), header in any::<bool>()) {
        let reader = CsvReader::new().has_header(header).target_classes(Column::Last).missing_values(MissingValues::Nan);
        if let Ok(data) = read(reader, &bytes) {
            prop_assert!(data.len() > 0);
        }
    }
}
