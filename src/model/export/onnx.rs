//! ONNX export of the generator: `z` `[n, z_dim]` to `pictures` `[n, channels, size, size]` in [-1, 1].
//!
//! The protobuf messages have only the fields that a generator needs, numbered as in `onnx.proto` (IR version 8, opset
//! 13).

use prost::Message;

use super::ExportError;
use crate::model::layer::{LayerConvolution, OutputWindow};
use crate::model::{Activation, Model, ModelConfig, OutputActivation, TensorFile};

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
    opset_import: Vec<OperatorSetIdProto>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSetIdProto {
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
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
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
    attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeProto {
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
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    element: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<DimensionProto>,
}

#[derive(Clone, PartialEq, Message)]
struct DimensionProto {
    #[prost(oneof = "DimensionValue", tags = "1, 2")]
    side: Option<DimensionValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum DimensionValue {
    #[prost(int64, tag = "1")]
    Value(i64),
    #[prost(string, tag = "2")]
    Named(String),
}

/// Element types (`TensorProto.DataType`).
const FLOAT: i32 = 1;
const INT64: i32 = 7;
/// Attribute types (`AttributeProto.AttributeType`).
const KIND_FLOAT: i32 = 1;
const KIND_STRING: i32 = 3;
const KIND_INTS: i32 = 7;

/// Builds a graph as a chain of nodes; each takes the output of the one before.
struct GraphBuilder {
    graph: GraphProto,
    /// Name of the last node's output.
    last_output: String,
}

impl GraphBuilder {
    fn constant(&mut self, name: &str, dims: &[usize], data_type: i32, raw_data: Vec<u8>) -> String {
        let dims = dims.iter().map(|&side| side as i64).collect();
        self.graph.initializer.push(TensorProto { dims, data_type, name: name.to_owned(), raw_data });
        name.to_owned()
    }

    fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        self.constant(name, dims, FLOAT, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn node(&mut self, op_type: &str, more: Vec<String>, attribute: Vec<AttributeProto>) {
        let name = format!("{op_type}{}", self.graph.node.len());
        let mut input = vec![std::mem::replace(&mut self.last_output, name.clone())];
        input.extend(more);
        let op_type = op_type.to_owned();
        self.graph.node.push(NodeProto { input, output: vec![name.clone()], name, op_type, attribute });
    }

    /// Batch norm of the layer `name` with running statistics; `stored` looks up its tensors.
    fn norm<'a>(&mut self, name: &str, count: usize, epsilon: f64, stored: impl Fn(&str) -> &'a Vec<f32>) {
        let parts = ["gain", "shift", "mean", "variance"]
            .map(|part| self.floats(&format!("{name}.norm.{part}"), &[count], stored(&format!("norm.{part}"))));
        self.node("BatchNormalization", parts.to_vec(), vec![float("epsilon", epsilon as f32)]);
    }

    /// The activation of a hidden layer.
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

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { name: name.to_owned(), ints, kind: KIND_INTS, ..AttributeProto::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: Some(value), kind: KIND_FLOAT, ..AttributeProto::default() }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        s: value.as_bytes().to_vec(),
        kind: KIND_STRING,
        ..AttributeProto::default()
    }
}

fn value(name: &str, sides: &[usize]) -> ValueInfoProto {
    let batch = DimensionProto { side: Some(DimensionValue::Named("n".to_owned())) };
    let sides = sides.iter().map(|&side| DimensionProto { side: Some(DimensionValue::Value(side as i64)) });
    let shape = Some(TensorShapeProto { dim: std::iter::once(batch).chain(sides).collect() });
    let tensor = Some(TensorTypeProto { element: FLOAT, shape });
    ValueInfoProto { name: name.to_owned(), kind: Some(TypeProto { tensor }) }
}

/// Serializes the generator. The graph uses running statistics, so that a z always gives the same image.
///
/// # Errors
/// [`ExportError::Tensors`] if the device fails to return the values.
pub(super) fn generator(model: &Model) -> Result<Vec<u8>, ExportError> {
    let config = model.config();
    let whole: TensorFile = model.to_file()?;
    let mut out = GraphBuilder {
        graph: GraphProto { name: "generator".to_owned(), ..GraphProto::default() },
        last_output: "z".to_owned(),
    };
    let start = config.smallest_side();
    // The fully connected hidden layer is stored last and applied first.
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
            Some(LayerConvolution { geometry, pooled, window }) => {
                if pooled {
                    let scales = out.floats(&format!("{name}.scales"), &[4], &[1.0, 1.0, 2.0, 2.0]);
                    let rule = [
                        ("mode", "nearest"),
                        ("coordinate_transformation_mode", "asymmetric"),
                        ("nearest_mode", "floor"),
                    ];
                    // The unnamed input is the optional region of interest.
                    out.node(
                        "Resize",
                        vec![String::new(), scales],
                        rule.map(|(name, value)| text(name, value)).to_vec(),
                    );
                }
                let weight = out.floats(&format!("{name}.weight"), &layer.weight.shape, stored("weight"));
                // ONNX crops the pads from the output; a larger pad in front replaces output_padding.
                let stride = geometry.stride;
                let (mut before, mut behind) = (geometry.before, geometry.behind(kernel));
                let mut more = 0;
                if let Some(OutputWindow { side, cut }) = window {
                    let small = config.side(i - 1) * if pooled { 2 } else { 1 };
                    before += cut;
                    // Rows of the uncropped output, and rows needed for the leading pad and the result.
                    let (available, needed) = ((small - 1) * stride + kernel, side + before);
                    (behind, more) = (available.saturating_sub(needed), needed.saturating_sub(available));
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
            let per_unit = norm.gain.len() != maps;
            if per_unit {
                out.reshape(&format!("{name}.units"), &[-1, units as i64]);
            }
            out.norm(name, norm.gain.len(), config.norm_epsilon, stored);
            if per_unit {
                out.reshape(&format!("{name}.maps"), &[-1, maps as i64, start as i64, start as i64]);
            }
        }
        if i < last && !layer.linear {
            out.activation(config);
        }
    }
    if config.output == OutputActivation::Sigmoid {
        // A sigmoid scaled to [-1, 1] is tanh(x / 2).
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
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
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
    use crate::model::{Generator, Layout, NormPlacement, ParameterScope, Preset, Provenance, Resampling};
    use burn::tensor::Device;

    fn operations(config: ModelConfig) -> (Vec<String>, GraphProto) {
        let generator = Generator::new(&config, 3, &Device::flex());
        let model = Model { generator, discriminator: None, provenance: Provenance::default() };
        let proto = ModelProto::decode(super::generator(&model).unwrap().as_slice()).unwrap();
        let graph = proto.graph.unwrap();
        (graph.node.iter().map(|node| node.op_type.clone()).collect(), graph)
    }

    #[test]
    fn every_input_is_defined_and_the_last_output_is_the_images() {
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
    fn batch_norm_per_unit_and_a_sigmoid_are_in_the_graph() {
        let config = ModelConfig { size: 16, base: 2, z_dim: 5, ..ModelConfig::preset(Preset::Pytorch) };
        let mut layout = Layout::of(&config);
        layout.generator[0].norm = ParameterScope::Unit;
        let (operations, graph) =
            operations(ModelConfig { layout: Some(layout), output: OutputActivation::Sigmoid, ..config });
        let first = ["MatMul", "Reshape", "Reshape", "BatchNormalization", "Reshape", "Relu"];
        assert_eq!(operations[..6], first);
        assert_eq!(operations[operations.len() - 3..], ["Mul", "Tanh", "Identity"]);
        let gain = graph.initializer.iter().find(|constant| constant.name == "project.norm.gain").unwrap();
        assert_eq!(gain.dims, [64]);
    }

    #[test]
    fn deviations_from_the_papers_rules_are_in_the_graph() {
        let config = ModelConfig { size: 16, base: 2, z_dim: 5, ..ModelConfig::preset(Preset::Pytorch) };
        let (operations, graph) = operations(ModelConfig {
            norms: NormPlacement::Everywhere,
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
    fn leaky_relu_is_in_the_graph() {
        let config = ModelConfig { size: 16, base: 2, z_dim: 5, ..ModelConfig::preset(Preset::Pytorch) };
        let (operations, graph) = operations(ModelConfig { leak: 0.2, ..config });
        let leaky: Vec<_> = graph.node.iter().filter(|node| node.op_type == "LeakyRelu").collect();
        assert_eq!((leaky.len(), operations.contains(&"Relu".to_owned())), (2, false));
        assert!(leaky.iter().all(|node| node.attribute[0].name == "alpha" && node.attribute[0].f == Some(0.2)));
    }
}
