//! PyTorch export: a state dict as `torch.save` writes it, a zip with a pickle that describes the tensors, and their
//! values.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

use crate::model::discriminator::LEAK;
use crate::model::kernels::Geometry;
use crate::model::layer::{LayerConvolution, OutputWindow};
use crate::model::{Activation, Layer, ModelConfig, OutputActivation, TensorFile};

/// Zip record with the header of zscape's own files. `torch.load` ignores it.
pub(in crate::model) const NOTE: &str = "zscape.json";
/// Zip record with Python code that builds the modules, one per line.
const MODULES: &str = "modules.py";

/// A tensor with PyTorch's name and shape.
struct StateDictEntry<'a> {
    name: String,
    shape: Vec<usize>,
    values: std::borrow::Cow<'a, [f32]>,
}

/// A PyTorch module.
struct TorchModule {
    /// Python expression that constructs it.
    python: String,
    /// Its tensors: PyTorch's name in the module, zscape's full name, and whether PyTorch stores the matrix transposed.
    parts: Vec<(&'static str, String, bool)>,
}

/// Names of a tensor in a PyTorch state dict and in zscape's files.
pub(in crate::model) struct TensorMapping {
    pub pytorch: String,
    pub zscape: String,
    /// Whether PyTorch stores the matrix transposed.
    pub transposed: bool,
}

/// The tensors of one network's state dict, named as in PyTorch's DCGAN tutorial: `main.0.weight` and so on, where the
/// numbers count activations, too.
pub(in crate::model) fn tensor_mappings(network: &str, layers: &[Layer], config: &ModelConfig) -> Vec<TensorMapping> {
    let modules = modules(network, layers, config).into_iter().enumerate();
    let parts = modules.flat_map(|(number, module)| module.parts.into_iter().map(move |part| (number, part)));
    let mapping = |(number, (part, zscape, transposed))| TensorMapping {
        pytorch: format!("main.{number}.{part}"),
        zscape,
        transposed,
    };
    parts.map(mapping).collect()
}

/// The modules of one network in forward order.
///
/// A projection with per-unit batch norm or biases cannot be a convolution: it becomes a `Linear` followed by
/// `Unflatten`. Where PyTorch's convolutions do not support a network's padding, a `ZeroPad2d` pads or crops the map.
fn modules(network: &str, layers: &[Layer], config: &ModelConfig) -> Vec<TorchModule> {
    let generator = network == "generator";
    let per_unit = generator && config.projects_units();
    let forward_order: Vec<&Layer> = if generator {
        // The fully connected hidden layer is stored last and forward_order first.
        let (connected, others): (Vec<_>, Vec<_>) = layers.iter().partition(|layer| layer.is_hidden());
        connected.into_iter().chain(others).collect()
    } else {
        layers.iter().collect()
    };
    let mut modules = Vec::new();
    for (i, layer) in forward_order.iter().enumerate() {
        let [a, b, kernel, _] = layer.weight.shape[..] else { unreachable!("weights have four sides") };
        let (inputs, outputs) = if generator { (a, b) } else { (b, a) };
        let name = layer.weight.name.trim_end_matches(".weight");
        let zscape = |part: &str| format!("{network}.{name}.{part}");
        let linear = per_unit && layer.convolution.is_none();
        let mut parts = vec![("weight", zscape("weight"), linear)];
        if layer.bias.is_some() {
            parts.push(("bias", zscape("bias"), false));
        }
        let bias = if layer.bias.is_some() { "True" } else { "False" };
        let units = outputs * kernel * kernel;
        let mut push = |python: String, parts| modules.push(TorchModule { python, parts });
        match layer.convolution {
            None if linear => push(format!("nn.Linear({inputs}, {units}, bias={bias})"), parts),
            None => {
                let kind = if generator { "ConvTranspose" } else { "Conv" };
                push(format!("nn.{kind}2d({inputs}, {outputs}, {kernel}, 1, 0, bias={bias})"), parts);
            }
            Some(LayerConvolution { geometry, pooled, window }) if generator => {
                if pooled {
                    push("nn.Upsample(scale_factor=2)".to_owned(), Vec::new());
                }
                if let Some(OutputWindow { side, cut }) = window {
                    let (stride, padding) = (geometry.stride, geometry.before + cut);
                    let small = config.side(number(name) - 1) * if pooled { 2 } else { 1 };
                    let more = side + 2 * padding - (small - 1) * stride - kernel;
                    let more = if more > 0 { format!(", output_padding={more}") } else { String::new() };
                    let sides = format!("{inputs}, {outputs}, {kernel}, {stride}, {padding}{more}");
                    push(format!("nn.ConvTranspose2d({sides}, bias={bias})"), parts);
                } else {
                    let Geometry { stride, before } = geometry;
                    let short = before.saturating_sub(geometry.behind(kernel));
                    let more = if short > 0 { format!(", output_padding={short}") } else { String::new() };
                    let sides = format!("{inputs}, {outputs}, {kernel}, {stride}, {before}{more}");
                    push(format!("nn.ConvTranspose2d({sides}, bias={bias})"), parts);
                    let beyond = geometry.beyond(kernel);
                    if beyond > 0 {
                        push(format!("nn.ZeroPad2d((0, -{beyond}, 0, -{beyond}))"), Vec::new());
                    }
                }
            }
            Some(LayerConvolution { geometry, window: Some(window), .. }) => {
                let padding = geometry.before + window.cut;
                push(
                    format!("nn.Conv2d({inputs}, {outputs}, {kernel}, {}, {padding}, bias={bias})", geometry.stride),
                    parts,
                );
            }
            Some(LayerConvolution { geometry, pooled, window: None }) => {
                let beyond = geometry.beyond(kernel);
                if beyond > 0 {
                    push(format!("nn.ZeroPad2d((0, {beyond}, 0, {beyond}))"), Vec::new());
                }
                let sides = format!("{inputs}, {outputs}, {kernel}, {}, {}", geometry.stride, geometry.before);
                push(format!("nn.Conv2d({sides}, bias={bias})"), parts);
                if pooled {
                    push("nn.MaxPool2d(2)".to_owned(), Vec::new());
                }
            }
        }
        // Unflatten before per-map batch norm, but after per-unit batch norm.
        let unflatten = || format!("nn.Unflatten(1, ({outputs}, {kernel}, {kernel}))");
        let length = layer.norm.as_ref().map(|norm| norm.gain.len());
        let flat = linear && (layer.is_hidden() || length == Some(units));
        if linear && !flat {
            push(unflatten(), Vec::new());
        }
        if let Some(length) = length {
            let sides = if flat { "1d" } else { "2d" };
            let parts = [("gain", "weight"), ("shift", "bias"), ("mean", "running_mean"), ("variance", "running_var")];
            let parts = parts.map(|(part, theirs)| (theirs, zscape(&format!("norm.{part}")), false)).to_vec();
            push(format!("nn.BatchNorm{sides}({length}, eps={:e})", config.norm_epsilon), parts);
        }
        let last = i + 1 == forward_order.len();
        if last || !layer.linear {
            push(activation(config, generator, last), Vec::new());
        }
        if flat && !layer.is_hidden() {
            push(unflatten(), Vec::new());
        }
    }
    modules
}

/// The number of a layer called `up3`.
fn number(name: &str) -> usize {
    name.trim_start_matches("up").parse().unwrap_or(1)
}

/// Python expression of a layer's activation.
fn activation(config: &ModelConfig, generator: bool, last: bool) -> String {
    match (generator, last) {
        (true, true) if config.output == OutputActivation::Tanh => "nn.Tanh()".to_owned(),
        (_, true) => "nn.Sigmoid()".to_owned(),
        (true, false) if config.activation == Activation::Tanh => "nn.Tanh()".to_owned(),
        (true, false) if config.leak == 0.0 => "nn.ReLU(True)".to_owned(),
        (true, false) => format!("nn.LeakyReLU({}, True)", config.leak),
        (false, false) => format!("nn.LeakyReLU({LEAK}, True)"),
    }
}

/// Serializes the state dict of one network, with the names of [`tensor_mappings`].
pub(super) fn state_dict(network: &str, layers: &[Layer], config: &ModelConfig, whole: &TensorFile) -> Vec<u8> {
    let entry = |mapping: TensorMapping| {
        let (shape, values) = &whole.tensors[&mapping.zscape];
        if !mapping.transposed {
            return StateDictEntry { name: mapping.pytorch, shape: shape.clone(), values: values.as_slice().into() };
        }
        let (rows, columns) = (shape[0], shape[1..].iter().product());
        let values = transposed(values, rows, columns).into();
        StateDictEntry { name: mapping.pytorch, shape: vec![columns, rows], values }
    };
    let entries: Vec<StateDictEntry<'_>> = tensor_mappings(network, layers, config).into_iter().map(entry).collect();
    let python: Vec<String> = modules(network, layers, config).into_iter().map(|module| module.python).collect();
    let input = match network {
        "generator" if config.projects_units() => format!("z [n, {}]", config.z_dim),
        "generator" => format!("z [n, {}, 1, 1]", config.z_dim),
        _ => format!("pictures [n, {0}, {1}, {1}]", config.channels, config.size),
    };
    let python = format!("# takes {input}\nmain = nn.Sequential(\n    {},\n)\n", python.join(",\n    "));
    archive(&entries, &[(NOTE, whole.note.as_deref().unwrap_or_default()), (MODULES, &python)])
}

/// Transposes a row-major matrix.
pub(in crate::model) fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

fn archive(entries: &[StateDictEntry<'_>], records: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut put = |name: &str, bytes: &[u8]| -> zip::result::ZipResult<()> {
        zip.start_file(format!("archive/{name}"), stored.large_file(bytes.len() > u32::MAX as usize / 2))?;
        Ok(zip.write_all(bytes)?)
    };
    let mut write = || -> zip::result::ZipResult<()> {
        put("data.pkl", &pickle(entries))?;
        put("byteorder", b"little")?;
        for (key, entry) in entries.iter().enumerate() {
            let bytes: Vec<u8> = entry.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            put(&format!("data/{key}"), &bytes)?;
        }
        for (name, text) in records {
            put(name, text.as_bytes())?;
        }
        put("version", b"3\n")
    };
    write().expect("writing to memory does not fail");
    zip.finish().expect("writing to memory does not fail").into_inner()
}

/// The pickle, protocol 2, of an `OrderedDict` of tensors.
fn pickle(entries: &[StateDictEntry<'_>]) -> Vec<u8> {
    const ORDERED_DICT: &[u8] = b"ccollections\nOrderedDict\n)R";
    let mut out = b"\x80\x02".to_vec();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.push(b'X');
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.as_bytes());
    };
    // The config's limits keep all sizes far below an i32.
    let number = |out: &mut Vec<u8>, number: usize| {
        out.push(b'J');
        out.extend((number as i32).to_le_bytes());
    };
    out.extend(ORDERED_DICT);
    out.push(b'(');
    for (key, StateDictEntry { name, shape, values }) in entries.iter().enumerate() {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &key.to_string());
        text(&mut out, "cpu");
        number(&mut out, values.len());
        // A persistent id names the storage; then offset, sizes, strides, no gradient, no hooks.
        out.extend(b"tQ");
        number(&mut out, 0);
        let strides = (0..shape.len()).map(|i| shape[i + 1..].iter().product());
        for numbers in [shape.clone(), strides.collect::<Vec<usize>>()] {
            out.push(b'(');
            numbers.into_iter().for_each(|n| number(&mut out, n));
            out.push(b't');
        }
        out.push(b'\x89');
        out.extend(ORDERED_DICT);
        out.extend(b"tR");
    }
    out.extend(b"u.");
    out
}
