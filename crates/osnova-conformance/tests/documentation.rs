//! What `docs/writing-a-backend.md` quotes is the code that is tested.

use std::fs;
use std::path::Path;

#[test]
fn the_chapter_quotes_the_tiny_backend() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chapter = fs::read_to_string(folder.join("../../docs/writing-a-backend.md")).unwrap();
    let code = fs::read_to_string(folder.join("tests/tiny_backend.rs")).unwrap();
    let quotes: Vec<&str> =
        chapter.split("```rust,ignore\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(quotes.len() >= 6, "{} quotes", quotes.len());
    for quote in quotes {
        assert!(code.contains(quote), "no longer in tiny_backend.rs:\n{quote}");
    }
}
