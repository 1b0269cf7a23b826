//! The pictures of a model whose images are its codes, so that each pixel says what the code was.

use super::*;
use crate::LossParts;
use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_nn::Mode;
use osnova_tensor::Shape;
use osnova_train::{EpochRecord, History};
use proptest::prelude::*;

/// An image is its code; with classes, plus the class in each pixel. In training mode, or told of noise, all is negative.
#[derive(Module, Clone, Debug)]
struct Mirror {
    mode: Mode,
    #[module(skip)]
    pixels: usize,
    #[module(skip)]
    classes: Option<usize>,
}

fn mirror(pixels: usize) -> Mirror {
    Mirror { mode: Mode::Training, pixels, classes: None }
}

impl GenerativeModel for Mirror {
    fn latent_features(&self) -> usize {
        self.pixels
    }
    fn class_count(&self) -> Option<usize> {
        self.classes
    }
    fn loss(&self, input: &Tensor, _: Option<&Tensor>) -> Result<LossParts> {
        Ok(LossParts::new().with("reconstruction", input.mean(.., false)?, 1.0))
    }
    fn encode(&self, input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        if self.mode.is_training() { input.neg() } else { Ok(input.clone()) }
    }
    fn decode(&self, code: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        match (self.classes, classes) {
            (None, _) => Ok(code.clone()),
            (Some(_), None) => Err(Error::argument("mirror", "classes are missing", "Give some")),
            (Some(_), Some(classes)) => code + classes.reshape([classes.count(), 1])?.to_dtype(code.dtype())?,
        }
    }
    fn sample_codes(&self, count: usize, generator: &Generator) -> Result<Tensor> {
        Tensor::uniform([count, self.pixels], 0.0, 1.0, DType::F32, generator, Device::cpu())
    }
    fn corrupt(&self, input: &Tensor, generator: &Generator) -> Result<Option<Tensor>> {
        match self.classes {
            None => Ok(Some((input + Tensor::uniform([1], 0.0, 1.0, input.dtype(), generator, input.device())?)?)),
            Some(_) => Ok(None),
        }
    }
    fn clone_box(&self) -> Box<dyn GenerativeModel> {
        Box::new(self.clone())
    }
}

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_host(HostData::from_f64(DType::F32, values), shape, Device::cpu()).unwrap()
}

/// The greys of a grid whose images are single rows of pixels: row by row, as parts of the range.
fn shown(grid: ImageGrid, range: (f64, f64), pixels: usize) -> Vec<Vec<f64>> {
    let png = grid.scale(1).range(range.0, range.1).to_png().unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut samples).unwrap();
    assert_eq!(info.color_type, png::ColorType::Grayscale);
    // Between the images, and between the rows, lie two pixels of white.
    let rows = samples.chunks(info.width as usize).step_by(3);
    let images =
        |row: &[u8]| -> Vec<u8> { row.chunks(pixels + 2).flat_map(|image| image[..pixels].to_vec()).collect() };
    let value = |sample: u8| range.0 + (range.1 - range.0) * f64::from(sample) / 255.0;
    rows.map(|row| images(row).into_iter().map(value).collect()).collect()
}

fn assert_close(found: &[Vec<f64>], expected: &[Vec<f64>], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
        let close = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() <= tolerance);
        assert!(close, "{found:?}, not {expected:?}");
    }
}

fn line(pixels: usize) -> ImageShape {
    ImageShape::of(&[1, pixels]).unwrap()
}

#[test]
fn samples_are_the_models_own_and_the_same_for_a_seed() {
    let draw = |seed| samples(&mirror(2), 5, None, &Generator::new(seed), line(2)).unwrap().to_png().unwrap();
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let expected = mirror(2).sample(5, None, &Generator::new(1)).unwrap().to_host().unwrap().to_f64();
    let found = shown(samples(&mirror(2), 5, None, &Generator::new(1), line(2)).unwrap(), (0.0, 1.0), 2);
    // Five make rows of three; the last place is empty, which is white.
    assert_close(&found, &[expected[..6].to_vec(), [&expected[6..], &[1.0, 1.0][..]].concat()], 0.51 / 255.0);
    for (count, columns) in [(1, 1), (4, 2), (6, 3), (9, 3), (10, 4)] {
        let grid = samples(&mirror(1), count, None, &Generator::new(0), line(1)).unwrap();
        assert_eq!(shown(grid, (0.0, 1.0), 1)[0].len(), columns, "{count}");
    }
    assert!(samples(&mirror(2), 0, None, &Generator::new(1), line(2)).is_err());
    assert!(samples(&mirror(2), 4, None, &Generator::new(1), line(3)).is_err());
}

#[test]
fn classes_have_a_row_each_with_the_same_codes() {
    let model = Mirror { classes: Some(3), ..mirror(1) };
    let grid = class_samples(&model, &["zero", "one"], 4, &Generator::new(7), line(1)).unwrap();
    let svg = grid.to_svg().unwrap();
    assert!([">zero<", ">one<", ">2<"].iter().all(|name| svg.contains(name)));
    let rows = shown(grid, (0.0, 3.0), 1);
    for class in [1, 2] {
        let expected = rows[0].iter().map(|value| value + class as f64).collect();
        assert_close(&rows[class..=class], &[expected], 1e-9);
    }
    let names: [&str; 0] = [];
    assert!(class_samples(&mirror(1), &names, 4, &Generator::new(7), line(1)).is_err());
    assert!(class_samples(&model, &names, 0, &Generator::new(7), line(1)).is_err());
}

#[test]
fn reconstructions_stand_below_their_originals_and_wrap() {
    let values: Vec<f64> = (0..12).map(|index| index as f64 / 12.0).collect();
    // On a device that records: nothing of it is needed.
    let images = tensor(&values, &[12, 1]).to_device(Device::cpu().autodiff()).unwrap();
    let grid = reconstructions(&mirror(1), &images, None, line(1)).unwrap();
    let rest = [&values[10..], &[1.0; 8][..]].concat();
    let expected = [values[..10].to_vec(), values[..10].to_vec(), rest.clone(), rest];
    assert_close(&shown(grid, (0.0, 1.0), 1), &expected, 0.51 / 255.0);
    for wrong in [tensor(&[], &[0, 1]), tensor(&[0.0], &[]), tensor(&[0.0; 2], &[1, 2])] {
        assert!(reconstructions(&mirror(1), &wrong, None, line(1)).is_err());
    }
}

#[test]
fn restorations_show_what_the_noise_was() {
    let clean = tensor(&[0.0, 1.0], &[2, 1]);
    let draw = |seed| shown(restorations(&mirror(1), &clean, &Generator::new(seed), line(1)).unwrap(), (0.0, 2.0), 1);
    let rows = draw(3);
    assert_close(&rows[..1], &[vec![0.0, 1.0]], 1e-2);
    assert!(rows[1][0] > 0.0);
    assert_eq!(rows[1], rows[2]);
    assert_eq!(draw(3), rows);
    assert_ne!(draw(4), rows);
    let whole = Mirror { classes: Some(2), ..mirror(1) };
    let message = restorations(&whole, &clean, &Generator::new(3), line(1)).unwrap_err().to_string();
    assert!(message.contains("denoising"), "{message}");
}

#[test]
fn an_interpolation_has_a_row_a_pair_and_its_class() {
    let (from, to) = (tensor(&[0.0, 1.0], &[2, 1]), tensor(&[1.0, 0.5], &[2, 1]));
    let kind = Interpolation::Linear;
    let rows = shown(interpolation(&mirror(1), &from, &to, 3, kind, None, line(1)).unwrap(), (0.0, 1.0), 1);
    assert_close(&rows, &[vec![0.0, 0.5, 1.0], vec![1.0, 0.75, 0.5]], 0.51 / 255.0);
    let model = Mirror { classes: Some(3), ..mirror(1) };
    let classes = Tensor::from_vec(vec![2i64, 1], [2], Device::cpu()).unwrap();
    let grid = interpolation(&model, &from, &to, 2, kind, Some(&classes), line(1)).unwrap();
    assert_close(&shown(grid, (0.0, 4.0), 1), &[vec![2.0, 3.0], vec![2.0, 1.5]], 1e-2);
    assert!(interpolation(&model, &from, &to, 2, kind, None, line(1)).is_err());
    assert!(interpolation(&mirror(1), &from, &to, 1, kind, None, line(1)).is_err());
    assert!(interpolation(&mirror(1), &from, &tensor(&[0.0], &[1, 1]), 2, kind, None, line(1)).is_err());
    let none = tensor(&[], &[0, 1]);
    let nothing = interpolation(&mirror(1), &none, &none, 2, kind, None, line(1));
    assert!(nothing.and_then(|grid| grid.to_png()).is_err());
}

#[test]
fn a_traversal_starts_from_the_code_of_the_image() {
    let image = tensor(&[0.5, -0.5], &[1, 2]);
    let grid = traversal(&mirror(2), &image, &[1, 0], (-1.0, 1.0), 3, None, line(2)).unwrap();
    let svg = grid.to_svg().unwrap();
    assert!([">code 1<", ">code 0<", ">-1.00<", ">0.00<"].iter().all(|label| svg.contains(label)));
    let expected = [vec![0.5, -1.0, 0.5, 0.0, 0.5, 1.0], vec![-1.0, -0.5, 0.0, -0.5, 1.0, -0.5]];
    assert_close(&shown(grid, (-1.0, 1.0), 2), &expected, 1e-2);
    let draw = |image: &Tensor, dimensions: &[usize], range, steps| {
        traversal(&mirror(2), image, dimensions, range, steps, None, line(2))
    };
    assert!(draw(&tensor(&[0.0; 4], &[2, 2]), &[0], (-1.0, 1.0), 3).is_err());
    assert!(draw(&tensor(&[], &[0, 2]), &[0], (-1.0, 1.0), 3).is_err());
    assert!(draw(&image, &[], (-1.0, 1.0), 3).is_err());
    assert!(draw(&image, &[2], (-1.0, 1.0), 3).is_err());
    assert!(draw(&image, &[0], (1.0, 1.0), 3).is_err());
    assert!(draw(&image, &[0], (0.0, f64::INFINITY), 3).is_err());
    assert!(draw(&image, &[0], (-1.0, 1.0), 1).is_err());
}

#[test]
fn the_manifold_grows_to_the_right_and_upwards() {
    let grid = manifold(&mirror(3), (2, 0), 2, None, line(3)).unwrap();
    let svg = grid.to_svg().unwrap();
    assert!(svg.contains(">code 2 to the right, code 0 upwards<"));
    let quartile = 0.674_489_750_196_081_7;
    let expected = [
        vec![quartile, 0.0, -quartile, quartile, 0.0, quartile],
        vec![-quartile, 0.0, -quartile, -quartile, 0.0, quartile],
    ];
    assert_close(&shown(grid, (-1.0, 1.0), 3), &expected, 1e-2);
    // The label of the upper row comes first.
    assert!(
        svg.find("text-anchor=\"end\" fill=\"#222222\">0.67<")
            < svg.find("text-anchor=\"end\" fill=\"#222222\">-0.67<")
    );
    for (dimensions, steps) in [((0, 0), 2), ((0, 3), 2), ((3, 0), 2), ((0, 1), 0)] {
        assert!(manifold(&mirror(3), dimensions, steps, None, line(3)).is_err(), "{dimensions:?} {steps}");
    }
    let conditional = Mirror { classes: Some(2), ..mirror(3) };
    assert!(manifold(&conditional, (0, 1), 2, None, line(3)).is_err());
    let class = Tensor::from_vec(vec![1i64], [1], Device::cpu()).unwrap();
    let grid = manifold(&conditional, (2, 0), 1, Some(&class), line(3)).unwrap();
    assert_close(&shown(grid, (0.0, 2.0), 3), &[vec![1.0; 3]], 1e-2);
}

#[test]
fn codes_that_no_arc_joins_are_joined_straight() {
    let arc = |from: &[f64], to: &[f64]| {
        let shape = [1, from.len()];
        let codes = interpolate(&tensor(from, &shape), &tensor(to, &shape), 3, Interpolation::Spherical).unwrap();
        codes.to_host().unwrap().to_f64()[from.len()..2 * from.len()].to_vec()
    };
    assert_eq!(arc(&[1.0, 0.0], &[3.0, 0.0]), [2.0, 0.0]);
    assert_eq!(arc(&[1.0, 0.0], &[-1.0, 0.0]), [0.0, 0.0]);
    assert_eq!(arc(&[0.0, 0.0], &[2.0, 1.0]), [1.0, 0.5]);
    // Nearly parallel, but not to rounding.
    let middle = arc(&[1.0, 0.0], &[1.0, 1e-3]);
    assert!((middle[0] - 1.0).abs() < 1e-6 && (middle[1] - 5e-4).abs() < 1e-8, "{middle:?}");
}

#[test]
fn codes_that_do_not_pair_are_refused() {
    let code = |shape: &[usize]| tensor(&vec![0.5; shape.iter().product()], shape);
    for (from, to, steps) in [
        (code(&[2, 3]), code(&[1, 3]), 4),
        (code(&[2, 3]), code(&[2, 4]), 4),
        (code(&[3]), code(&[3]), 4),
        (code(&[2, 0]), code(&[2, 0]), 4),
        (code(&[2, 3]), code(&[2, 3]), 1),
        (code(&[2, 3]), code(&[2, 3]), 0),
    ] {
        assert!(interpolate(&from, &to, steps, Interpolation::Linear).is_err(), "{from:?} {to:?} {steps}");
    }
    let none = interpolate(&code(&[0, 3]), &code(&[0, 3]), 4, Interpolation::Spherical).unwrap();
    assert_eq!(*none.shape(), Shape::new(&[0, 4, 3]).unwrap());
}

proptest! {
    #[test]
    fn the_ends_of_an_interpolation_are_exact(
        codes in prop::collection::vec((-9.0f64..9.0, -9.0f64..9.0), 6), steps in 2usize..9, spherical in any::<bool>(),
    ) {
        let (from, to): (Vec<f64>, Vec<f64>) = codes.into_iter().unzip();
        let (from, to) = (tensor(&from, &[2, 3]), tensor(&to, &[2, 3]));
        let kind = if spherical { Interpolation::Spherical } else { Interpolation::Linear };
        let way = interpolate(&from, &to, steps, kind).unwrap();
        prop_assert_eq!(way.select(1, 0).unwrap().to_vec::<f32>().unwrap(), from.to_vec::<f32>().unwrap());
        prop_assert_eq!(way.select(1, -1).unwrap().to_vec::<f32>().unwrap(), to.to_vec::<f32>().unwrap());
    }

    #[test]
    fn an_arc_keeps_the_norm_and_its_pace(
        codes in prop::collection::vec((-1.0f64..1.0, -1.0f64..1.0), 4), radius in 0.1f64..9.0, steps in 3usize..9,
    ) {
        let (from, to): (Vec<f64>, Vec<f64>) = codes.into_iter().unzip();
        let dot = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(left, right)| left * right).sum::<f64>();
        let (from_norm, to_norm) = (dot(&from, &from).sqrt(), dot(&to, &to).sqrt());
        prop_assume!(from_norm > 1e-3 && to_norm > 1e-3);
        let cosine = dot(&from, &to) / from_norm / to_norm;
        prop_assume!(cosine.abs() < 0.999);
        let scaled = |code: &[f64], norm: f64| -> Tensor {
            let values = code.iter().map(|value| value * radius / norm).collect();
            Tensor::from_vec::<f64>(values, [1, 4], Device::cpu()).unwrap()
        };
        let way = interpolate(&scaled(&from, from_norm), &scaled(&to, to_norm), steps, Interpolation::Spherical).unwrap();
        let way = way.to_vec::<f64>().unwrap();
        let pace = (cosine.acos() / (steps - 1) as f64).cos();
        for pair in way.chunks(4).collect::<Vec<_>>().windows(2) {
            prop_assert!((dot(pair[1], pair[1]).sqrt() / radius - 1.0).abs() < 1e-9);
            prop_assert!((dot(pair[0], pair[1]) / radius.powi(2) - pace).abs() < 1e-9);
        }
    }
}

#[test]
fn a_scatter_has_the_names_of_the_classes_that_occur() {
    let codes = tensor(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], &[3, 3]);
    let names = ["<zero>", "one"];
    let svg = latent_scatter(&codes, Some(&[0, 7, 0]), &names, (2, 0)).unwrap().to_svg();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let texts: Vec<_> = document.descendants().filter_map(|node| node.text()).collect();
    assert!(["<zero>", "7", "code 2", "code 0"].iter().all(|text| texts.contains(text)), "{texts:?}");
    assert!(!texts.contains(&"one"));
    // Three points and two in the legend.
    assert_eq!(svg.matches("<circle").count(), 5);
    let plain = latent_scatter(&codes, None, &names, (0, 1)).unwrap().to_svg();
    assert_eq!(plain.matches("<circle").count(), 4);
    assert!(latent_scatter(&codes, Some(&[0, 1]), &names, (0, 1)).is_err());
    assert!(latent_scatter(&codes, Some(&[0, 1, -1]), &names, (0, 1)).is_err());
    assert!(latent_scatter(&codes, None, &names, (0, 3)).is_err());
    assert!(latent_scatter(&tensor(&[0.0], &[1]), None, &names, (0, 0)).is_err());
}

#[test]
fn training_curves_show_each_part_and_make_the_small_one_legible() {
    let history = |kl: f64| {
        let record = |epoch: usize| {
            let parts = [("train_loss", 1.0), ("train_kl", kl), ("train_reconstruction", 30.0), ("validation_kl", kl)];
            let metrics = parts.map(|(name, value)| (name.to_owned(), value / epoch as f64)).into();
            EpochRecord { epoch, step: 0, learning_rate: 0.1, seconds: 1.0, metrics }
        };
        History { epochs: (1..=5).map(record).collect(), ..History::default() }
    };
    let legend = |svg: &str| -> Vec<String> {
        let document = roxmltree::Document::parse(svg).unwrap();
        let nodes = document.descendants().filter(|node| node.has_tag_name("text"));
        let texts = nodes.filter_map(|node| node.text()).filter(|text| text.contains(", "));
        texts.map(str::to_owned).collect()
    };
    let near = training_curves(&history(10.0)).to_svg();
    assert_eq!(legend(&near), ["reconstruction, train", "kl, train", "kl, validation"]);
    assert!(near.contains(">20<") && near.contains(">30<"));
    // A hundredth as large: on a linear axis it would lie on its foot.
    let far = training_curves(&history(0.3)).to_svg();
    assert!(far.contains(">0.1<") && far.contains(">10<"), "{far}");
    // A logarithmic axis has no place for what is not positive.
    let negative = training_curves(&history(-0.3)).to_svg();
    assert!(negative.contains(">0<") && negative.contains(">20<"), "{negative}");
    assert!(training_curves(&History::default()).to_svg().contains("no data"));
}
