//! A state dict as `torch.save` writes it: a zip of a pickle that describes the tensors, and of their values.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

use crate::model::{Layer, TensorFile};

/// A tensor under PyTorch's name, in PyTorch's shape.
struct Entry<'a> {
    name: String,
    shape: Vec<usize>,
    values: std::borrow::Cow<'a, [f32]>,
}

/// The state dict of one network, under the names of PyTorch's DCGAN tutorial: `main.0.weight` and so on, numbered as the
/// tutorial's modules are, rectifiers included.
///
/// A projection whose batch norm or biases are of single units cannot be a convolution: it is a `Linear` of that number,
/// followed by its `BatchNorm1d`, and a module more that unflattens.
pub(super) fn state_dict(network: &str, layers: &[Layer], whole: &TensorFile) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut module = 0;
    for (i, layer) in layers.iter().enumerate() {
        let name = layer.weight.name.trim_end_matches(".weight");
        let stored = |part: &str| {
            let (shape, values) = &whole.tensors[&format!("{network}.{name}.{part}")];
            (shape.clone(), std::borrow::Cow::Borrowed(values.as_slice()))
        };
        let mut put = |module: usize, part: &str, (shape, values)| {
            entries.push(Entry { name: format!("main.{module}.{part}"), shape, values });
        };
        let units: usize = layer.weight.shape[1..].iter().product();
        let single =
            |count: usize| network == "generator" && i == 0 && count == units && count != layer.weight.shape[1];
        let linear = layer.bias.as_ref().is_some_and(|bias| single(bias.len()))
            || layer.norm.as_ref().is_some_and(|norm| single(norm.gain.len()));
        let (shape, values) = stored("weight");
        if linear {
            let z_dim = shape[0];
            let turned = (0..units).flat_map(|unit| (0..z_dim).map(move |z| (unit, z)));
            let turned: Vec<f32> = turned.map(|(unit, z)| values[z * units + unit]).collect();
            put(module, "weight", (vec![units, z_dim], turned.into()));
        } else {
            put(module, "weight", (shape, values));
        }
        if layer.bias.is_some() {
            put(module, "bias", stored("bias"));
        }
        module += 1;
        if layer.norm.is_some() {
            for (ours, theirs) in
                [("gain", "weight"), ("shift", "bias"), ("mean", "running_mean"), ("variance", "running_var")]
            {
                put(module, theirs, stored(&format!("norm.{ours}")));
            }
            module += 1;
        }
        // The rectifier, and what unflattens before it.
        module += 1 + usize::from(linear);
    }
    archive(&entries)
}

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
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
        put("version", b"3\n")
    };
    write().expect("writing to memory does not fail");
    zip.finish().expect("writing to memory does not fail").into_inner()
}

/// The pickle, protocol 2, of an `OrderedDict` of tensors.
fn pickle(entries: &[Entry<'_>]) -> Vec<u8> {
    const ORDERED_DICT: &[u8] = b"ccollections\nOrderedDict\n)R";
    let mut out = b"\x80\x02".to_vec();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.push(b'X');
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.as_bytes());
    };
    // Sizes beyond an i32 are no DCGAN's; the config's limits are far below.
    let number = |out: &mut Vec<u8>, number: usize| {
        out.push(b'J');
        out.extend((number as i32).to_le_bytes());
    };
    out.extend(ORDERED_DICT);
    out.push(b'(');
    for (key, Entry { name, shape, values }) in entries.iter().enumerate() {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &key.to_string());
        text(&mut out, "cpu");
        number(&mut out, values.len());
        // The storage is named from outside the pickle; then offset, sizes, strides, no gradient, no hooks.
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
