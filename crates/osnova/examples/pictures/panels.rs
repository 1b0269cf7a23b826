//! Several charts side by side, as one picture.

/// The space around each chart.
const GAP: f64 = 8.0;

/// Charts in rows of so many columns, each as wide and high as the largest.
pub(crate) fn panels(columns: usize, charts: &[String]) -> String {
    let sizes: Vec<(f64, f64)> = charts.iter().map(|chart| (size(chart, "width"), size(chart, "height"))).collect();
    let width = GAP + sizes.iter().map(|size| size.0).fold(0.0, f64::max);
    let height = GAP + sizes.iter().map(|size| size.1).fold(0.0, f64::max);
    let columns = columns.min(charts.len()).max(1);
    let (total_width, total_height) =
        (GAP + width * columns as f64, GAP + height * charts.len().div_ceil(columns) as f64);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total_width}\" height=\"{total_height}\" \
         viewBox=\"0 0 {total_width} {total_height}\" role=\"img\">\n\
         <rect width=\"{total_width}\" height=\"{total_height}\" fill=\"#ffffff\"/>\n"
    );
    for (index, (chart, size)) in charts.iter().zip(&sizes).enumerate() {
        // A smaller chart stands in the middle of its place.
        let left = GAP + width * (index % columns) as f64 + (width - GAP - size.0) / 2.0;
        let top = GAP + height * (index / columns) as f64 + (height - GAP - size.1) / 2.0;
        picture.push_str(&chart.replacen("<svg ", &format!("<svg x=\"{left}\" y=\"{top}\" "), 1));
    }
    picture.push_str("</svg>\n");
    picture
}

/// A number among the attributes of the document's first element.
fn size(chart: &str, attribute: &str) -> f64 {
    let after = chart.split_once(&format!(" {attribute}=\"")).map_or("", |(_, after)| after);
    after.split('"').next().and_then(|text| text.parse().ok()).unwrap_or_default()
}
