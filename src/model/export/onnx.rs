//! The generator as an ONNX graph: `z` `[n, z_dim]` to `pictures` `[n, channels, size, size]` in [-1, 1].
//!
//! Only the messages and fields that a generator needs, numbered as in ONNX's `onnx.proto` (IR version 8, operators 13).

use prost::Message;

use super::ExportError;
use crate::model::layer::{Convolution, Window};
use crate::model::{Activation, Model, ModelConfig, Output, TensorFile};

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(string, tag = "3")]
    producer_version: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(bytes = "vec", tag = "4")]
    s: Vec<u8>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfo {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    element: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(oneof = "Side", tags = "1, 2")]
    side: Option<Side>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Side {
    #[prost(int64, tag = "1")]
    Value(i64),
    #[prost(string, tag = "2")]
    Named(String),
}

/// ONNX's numbers of types.
const FLOAT: i32 = 1;
const INT64: i32 = 7;
/// And of attributes' kinds.
const KIND_FLOAT: i32 = 1;
const KIND_STRING: i32 = 3;
const KIND_INTS: i32 = 7;

/// A graph that grows node by node; `at` is what the last node gave.
struct Graph {
    graph: GraphProto,
    at: String,
}

impl Graph {
    fn constant(&mut self, name: &str, dims: &[usize], data_type: i32, raw_data: Vec<u8>) -> String {
        let dims = dims.iter().map(|&side| side as i64).collect();
        self.graph.initializer.push(TensorProto { dims, data_type, name: name.to_owned(), raw_data });
        name.to_owned()
    }

    fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        self.constant(name, dims, FLOAT, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn node(&mut self, op_type: &str, more: Vec<String>, attribute: Vec<Attribute>) {
        let name = format!("{op_type}{}", self.graph.node.len());
        let mut input = vec![std::mem::replace(&mut self.at, name.clone())];
        input.extend(more);
        let op_type = op_type.to_owned();
        self.graph.node.push(NodeProto { input, output: vec![name.clone()], name, op_type, attribute });
    }

    /// Batch norm of the layer `name` by running statistics, which `stored` gives the parts of.
    fn norm<'a>(&mut self, name: &str, count: usize, epsilon: f64, stored: impl Fn(&str) -> &'a Vec<f32>) {
        let parts = ["gain", "shift", "mean", "variance"]
            .map(|part| self.floats(&format!("{name}.norm.{part}"), &[count], stored(&format!("norm.{part}"))));
        self.node("BatchNormalization", parts.to_vec(), vec![float("epsilon", epsilon as f32)]);
    }

    /// What follows a hidden layer.
    fn activation(&mut self, config: &ModelConfig) {
        match (config.activation, config.leak) {
            (Activation::Tanh, _) => self.node("Tanh", Vec::new(), Vec::new()),
            (Activation::Rectifier, 0.0) => self.node("Relu", Vec::new(), Vec::new()),
            (Activation::Rectifier, slope) => {
                self.node("LeakyRelu", Vec::new(), vec![float("alpha", slope as f32)]);
            }
        }
    }

    fn reshape(&mut self, name: &str, shape: &[i64]) {
        let bytes = shape.iter().flat_map(|side| side.to_le_bytes()).collect();
        let shape = self.constant(name, &[shape.len()], INT64, bytes);
        self.node("Reshape", vec![shape], Vec::new());
    }
}

fn ints(name: &str, values: &[usize]) -> Attribute {
    let ints = values.iter().map(|&value| value as i64).collect();
    Attribute { name: name.to_owned(), ints, kind: KIND_INTS, ..Attribute::default() }
}

fn float(name: &str, value: f32) -> Attribute {
    Attribute { name: name.to_owned(), f: Some(value), kind: KIND_FLOAT, ..Attribute::default() }
}

fn text(name: &str, value: &str) -> Attribute {
    Attribute { name: name.to_owned(), s: value.as_bytes().to_vec(), kind: KIND_STRING, ..Attribute::default() }
}

fn value(name: &str, sides: &[usize]) -> ValueInfo {
    let batch = Dimension { side: Some(Side::Named("n".to_owned())) };
    let sides = sides.iter().map(|&side| Dimension { side: Some(Side::Value(side as i64)) });
    let shape = Some(Shape { dim: std::iter::once(batch).chain(sides).collect() });
    let tensor = Some(TensorType { element: FLOAT, shape });
    ValueInfo { name: name.to_owned(), kind: Some(TypeProto { tensor }) }
}

/// The generator's bytes. It samples with running statistics, as a graph must in which a z gives one picture.
///
/// # Errors
/// [`ExportError::Tensors`] when the device fails before it gave the values.
pub(super) fn generator(model: &Model) -> Result<Vec<u8>, ExportError> {
    let config = model.config();
    let whole: TensorFile = model.to_file()?;
    let mut out =
        Graph { graph: GraphProto { name: "generator".to_owned(), ..GraphProto::default() }, at: "z".to_owned() };
    let start = config.start();
    // The fully connected hidden layer is kept last and applied first.
    let (connected, others): (Vec<_>, Vec<_>) = model.generator.layers().iter().partition(|layer| layer.is_hidden());
    let last = others.len() - 1;
    for layer in connected {
        let name = layer.weight.name.trim_end_matches(".weight");
        let stored = |part: &str| &whole.tensors[&format!("generator.{name}.{part}")].1;
        let units = layer.weight.shape[1];
        let weight = out.floats(&format!("{name}.weight"), &layer.weight.shape[..2], stored("weight"));
        out.node("MatMul", vec![weight], Vec::new());
        if layer.bias.is_some() {
            let bias = out.floats(&format!("{name}.bias"), &[units], stored("bias"));
            out.node("Add", vec![bias], Vec::new());
        }
        if layer.norm.is_some() {
            out.norm(name, units, config.norm_epsilon, stored);
        }
        out.activation(config);
    }
    for (i, layer) in others.into_iter().enumerate() {
        let name = layer.weight.name.trim_end_matches(".weight");
        let stored = |part: &str| &whole.tensors[&format!("generator.{name}.{part}")].1;
        let [inputs, maps, kernel, _] = layer.weight.shape[..] else { unreachable!("weights have four sides") };
        let units = maps * start * start;
        match layer.convolution {
            None => {
                let weight = out.floats(&format!("{name}.weight"), &[inputs, units], stored("weight"));
                out.node("MatMul", vec![weight], Vec::new());
                out.reshape("maps", &[-1, maps as i64, start as i64, start as i64]);
            }
            Some(Convolution { geometry, pooled, window }) => {
                if pooled {
                    let scales = out.floats(&format!("{name}.scales"), &[4], &[1.0, 1.0, 2.0, 2.0]);
                    let rule = [
                        ("mode", "nearest"),
                        ("coordinate_transformation_mode", "asymmetric"),
                        ("nearest_mode", "floor"),
                    ];
                    // No region of interest: an input without a name is left out.
                    out.node(
                        "Resize",
                        vec![String::new(), scales],
                        rule.map(|(name, value)| text(name, value)).to_vec(),
                    );
                }
                let weight = out.floats(&format!("{name}.weight"), &layer.weight.shape, stored("weight"));
                // Pads are cut off before and behind; the larger one before is what output_padding would make up for.
                let stride = geometry.stride;
                let (mut before, mut behind) = (geometry.before, geometry.behind(kernel));
                let mut more = 0;
                if let Some(Window { side, cut }) = window {
                    let small = config.side(i - 1) * if pooled { 2 } else { 1 };
                    before += cut;
                    // Rows of the whole result, and those that are left of it with the pads in front.
                    let (whole, left) = ((small - 1) * stride + kernel, side + before);
                    (behind, more) = (whole.saturating_sub(left), left.saturating_sub(whole));
                }
                let mut attributes = vec![
                    ints("kernel_shape", &[kernel; 2]),
                    ints("strides", &[stride; 2]),
                    ints("pads", &[before, before, behind, behind]),
                ];
                if more > 0 {
                    attributes.push(ints("output_padding", &[more; 2]));
                }
                out.node("ConvTranspose", vec![weight], attributes);
            }
        }
        if let Some(bias) = &layer.bias {
            let dims = if bias.len() == maps { [1, maps, 1, 1] } else { [1, maps, start, start] };
            let bias = out.floats(&format!("{name}.bias"), &dims, stored("bias"));
            out.node("Add", vec![bias], Vec::new());
        }
        if let Some(norm) = &layer.norm {
            let single = norm.gain.len() != maps;
            if single {
                out.reshape(&format!("{name}.units"), &[-1, units as i64]);
            }
            out.norm(name, norm.gain.len(), config.norm_epsilon, stored);
            if single {
                out.reshape(&format!("{name}.maps"), &[-1, maps as i64, start as i64, start as i64]);
            }
        }
        if i < last && !layer.linear {
            out.activation(config);
        }
    }
    if config.output == Output::Sigmoid {
        // -1..=1 of a sigmoid is the tanh of half.
        let half = out.floats("half", &[], &[0.5]);
        out.node("Mul", vec![half], Vec::new());
    }
    out.node("Tanh", Vec::new(), Vec::new());
    out.node("Identity", Vec::new(), Vec::new());
    if let Some(end) = out.graph.node.last_mut() {
        end.output = vec!["pictures".to_owned()];
    }
    out.graph.input = vec![value("z", &[config.z_dim])];
    out.graph.output = vec![value("pictures", &[config.channels, config.size, config.size])];
    let opset_import = vec![OperatorSet { domain: String::new(), version: 13 }];
    let proto = ModelProto {
        ir_version: 8,
        producer_name: "zscape".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(out.graph),
        opset_import,
    };
    Ok(proto.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Generator, Layout, Norms, Per, Preset, Provenance, Resampling};
    use burn::tensor::Device;

    fn operations(config: ModelConfig) -> (Vec<String>, GraphProto) {
        let generator = Generator::new(&config, 3, &Device::flex());
        let model = Model { generator, discriminator: None, provenance: Provenance::default() };
        let proto = ModelProto::decode(super::generator(&model).unwrap().as_slice()).unwrap();
        let graph = proto.graph.unwrap();
        (graph.node.iter().map(|node| node.op_type.clone()).collect(), graph)
    }

    #[test]
    fn every_node_takes_what_another_gives_and_the_last_gives_pictures() {
        let config = ModelConfig { size: 16, base: 2, z_dim: 5, ..ModelConfig::preset(Preset::Tensorflow) };
        let (operations, graph) = operations(config);
        let hidden = ["ConvTranspose", "Add", "BatchNormalization", "Relu"];
        let first = ["MatMul", "Reshape", "Add", "BatchNormalization", "Relu"];
        let last = ["ConvTranspose", "Add", "Tanh", "Identity"];
        assert_eq!(operations, [&first[..], &hidden, &last].concat());
        let mut known: Vec<_> = graph.initializer.iter().map(|constant| constant.name.clone()).collect();
        known.push("z".to_owned());
        for node in graph.node {
            assert!(node.input.iter().all(|input| known.contains(input)), "{node:?}");
            known.extend(node.output);
        }
        assert_eq!(known.last().unwrap(), "pictures");
        let pads = |name: &str| graph.initializer.iter().find(|constant| constant.name == name).unwrap().dims.clone();
        assert_eq!(pads("up1.weight"), [4, 2, 5, 5]);
        assert_eq!(pads("project.weight"), [5, 64]);
    }

    #[test]
    fn batch_norm_of_units_and_a_sigmoid_are_in_the_graph() {
        let config = ModelConfig { size: 16, base: 2, z_dim: 5, ..ModelConfig::preset(Preset::Pytorch) };
        let mut layout = Layout::of(&config);
        layout.generator[0].norm = Per::Unit;
        let (operations, graph) = operations(ModelConfig { layout: Some(layout), output: Output::Sigmoid, ..config });
        let first = ["MatMul", "Reshape", "Reshape", "BatchNormalization", "Reshape", "Relu"];
        assert_eq!(operations[..6], first);
        assert_eq!(operations[operations.len() - 3..], ["Mul", "Tanh", "Identity"]);
        let gain = graph.initializer.iter().find(|constant| constant.name == "project.norm.gain").unwrap();
        assert_eq!(gain.dims, [64]);
    }

    #[test]
    fn broken_rules_are_in_the_graph() {
        let config = ModelConfig { size: 16, base: 2, z_dim: 5, ..ModelConfig::preset(Preset::Pytorch) };
        let (operations, graph) = operations(ModelConfig {
            norms: Norms::Everywhere,
            activation: Activation::Tanh,
            resampling: Resampling::Pooling,
            hidden: 7,
            ..config
        });
        let hidden = ["MatMul", "BatchNormalization", "Tanh"];
        let first = ["MatMul", "Reshape", "BatchNormalization", "Tanh"];
        let between = ["Resize", "ConvTranspose", "BatchNormalization", "Tanh"];
        assert_eq!(operations, [&hidden[..], &first, &between, &between, &["Identity"]].concat());
        let convolution = graph.node.iter().find(|node| node.op_type == "ConvTranspose").unwrap();
        let of = |name: &str| convolution.attribute.iter().find(|a| a.name == name).unwrap().ints.clone();
        assert_eq!((of("strides"), of("pads")), (vec![1, 1], vec![1, 1, 2, 2]));
    }

    #[test]
    fn strides_and_padding_are_in_the_graph() {
        let pads = |preset| -> Vec<Vec<i64>> {
            let config = ModelConfig { size: 16, base: 2, z_dim: 5, ..ModelConfig::preset(preset) };
            let nodes = operations(config).1.node.into_iter().filter(|node| node.op_type == "ConvTranspose");
            nodes.map(|node| [node.attribute[1].ints.clone(), node.attribute[2].ints.clone()].concat()).collect()
        };
        assert_eq!(pads(Preset::Paper), [[2, 2, 2, 2, 1, 1], [2, 2, 2, 2, 1, 1]]);
        assert_eq!(pads(Preset::Tensorflow), [[2, 2, 1, 1, 2, 2], [2, 2, 1, 1, 2, 2]]);
        let (two, one) = ([2, 2, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]);
        assert_eq!(pads(Preset::PaperImagenet), [two, one, two, one]);
    }

    #[test]
    fn a_leak_is_in_the_graph() {
        let config = ModelConfig { size: 16, base: 2, z_dim: 5, ..ModelConfig::preset(Preset::Pytorch) };
        let (operations, graph) = operations(ModelConfig { leak: 0.2, ..config });
        let leaky: Vec<_> = graph.node.iter().filter(|node| node.op_type == "LeakyRelu").collect();
        assert_eq!((leaky.len(), operations.contains(&"Relu".to_owned())), (2, false));
        assert!(leaky.iter().all(|node| node.attribute[0].name == "alpha" && node.attribute[0].f == Some(0.2)));
    }
}
