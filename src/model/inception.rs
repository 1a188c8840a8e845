//! The Inception v3 network of published FID scores: pytorch-fid's variant of torchvision's network, up to global
//! average pooling.
//!
//! Its weights cannot be bundled for license reasons: the user provides `pt_inception-2015-12-05-6726825d.pth`, or a
//! safetensors file with the same tensors. Batch norms, whose statistics are fixed, are folded into the convolutions.

use std::path::{Path, PathBuf};

use burn::tensor::module::{avg_pool2d, conv2d, interpolate, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, InterpolateMode, InterpolateOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData, activation};

use super::import::{ImportError, TensorSource};

/// Number of features per image.
pub const INCEPTION_FEATURES: usize = 2048;
/// Side to which images are resized.
const SIDE: usize = 299;
/// Epsilon of batch norm.
const EPSILON: f64 = 1e-3;

/// Failure to load the network.
#[derive(Debug, thiserror::Error)]
pub enum InceptionError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ImportError),
    /// The file contains another network.
    #[error(
        "{path} is not the Inception network of published FIDs: {reason}; give pytorch-fid's \
         pt_inception-2015-12-05-6726825d.pth, or a safetensors file with its tensors"
    )]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// Which tensor differs, and how.
        reason: String,
    },
}

/// A convolution with folded batch norm, followed by ReLU.
#[derive(Debug, Clone)]
struct FoldedConvolution {
    /// `[out, in, height, width]`.
    weights: Tensor<4>,
    /// `[out]`.
    shift: Tensor<1>,
    stride: usize,
    padding: [usize; 2],
}

/// A building block of the network.
#[derive(Debug, Clone)]
enum InceptionBlock {
    Convolution(Box<FoldedConvolution>),
    /// 3x3 average pooling of stride 1; padding does not count.
    AveragePool,
    /// 3x3 max pooling.
    MaxPool {
        stride: usize,
        padding: usize,
    },
    /// Parallel branches whose outputs are concatenated.
    Branches(Vec<Vec<InceptionBlock>>),
}

impl InceptionBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Convolution(link) => {
                let options = ConvOptions::new([link.stride; 2], link.padding, [1, 1], 1);
                activation::relu(conv2d(x, link.weights.clone(), Some(link.shift.clone()), options))
            }
            Self::AveragePool => {
                let options = AvgPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]);
                avg_pool2d(x, options.with_count_include_pad(false))
            }
            Self::MaxPool { stride, padding } => {
                let options = MaxPoolOptions::new([3, 3]).with_stride([*stride; 2]).with_padding([*padding; 2]);
                max_pool2d(x, options)
            }
            Self::Branches(chains) => Tensor::cat(chains.iter().map(|chain| run(chain, x.clone())).collect(), 1),
        }
    }
}

fn run(chain: &[InceptionBlock], x: Tensor<4>) -> Tensor<4> {
    chain.iter().fold(x, |x, part| part.forward(x))
}

/// The network.
#[derive(Debug, Clone)]
pub struct Inception {
    blocks: Vec<InceptionBlock>,
}

impl Inception {
    /// Reads the network from a PyTorch or safetensors file.
    ///
    /// # Errors
    /// [`InceptionError`] naming the file, and the tensor that is missing or has another shape.
    pub fn open(path: &Path, device: &Device) -> Result<Self, InceptionError> {
        let store = TensorSource::open(path)?;
        let shapes = store.shapes();
        let lookup = |name: &str, shape: &[usize]| -> Result<Vec<f32>, InceptionError> {
            let other = |reason| InceptionError::OtherNetwork { path: path.to_owned(), reason };
            match shapes.get(name) {
                Some(found) if found == shape => {
                    let values = store.read(name, path)?;
                    let whole = values.len() == shape.iter().product::<usize>();
                    whole
                        .then_some(values)
                        .ok_or_else(|| other(format!("{name} has fewer or more values than its shape")))
                }
                Some(found) => Err(other(format!("{name} is {found:?}, not {shape:?}"))),
                None => Err(other(format!("{name} {shape:?} is missing"))),
            }
        };
        Ok(Self { blocks: NetworkBuilder { lookup: &lookup, device }.network()? })
    }

    /// Features `[batch, 2048]` of images `[batch, 3, height, width]` in [0, 1].
    pub fn features(&self, pictures: Tensor<4>) -> Tensor<2> {
        let options =
            InterpolateOptions::new(InterpolateMode::Bilinear).with_align_corners(false).with_output_size([SIDE, SIDE]);
        // Without antialiasing, like all published scores.
        let maps = run(&self.blocks, interpolate(pictures, options) * 2.0 - 1.0);
        let [batch, count, height, width] = maps.dims();
        maps.reshape([batch, count, height * width]).mean_dim(2).reshape([batch, count])
    }
}

/// Looks up a tensor by name and shape.
type TensorLookup<'a> = &'a dyn Fn(&str, &[usize]) -> Result<Vec<f32>, InceptionError>;
type Blocks = Result<Vec<InceptionBlock>, InceptionError>;

/// Builds the network.
struct NetworkBuilder<'a> {
    lookup: TensorLookup<'a>,
    device: &'a Device,
}

impl NetworkBuilder<'_> {
    /// A convolution with a kernel of `[height, width]`.
    fn convolution(
        &self,
        name: &str,
        [from, to]: [usize; 2],
        kernel: [usize; 2],
        stride: usize,
        padding: [usize; 2],
    ) -> Result<InceptionBlock, InceptionError> {
        let mut weights = (self.lookup)(&format!("{name}.conv.weight"), &[to, from, kernel[0], kernel[1]])?;
        let norm = |what: &str| (self.lookup)(&format!("{name}.bn.{what}"), &[to]);
        let (gain, mut shift) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        for (map, weights) in weights.chunks_exact_mut(from * kernel[0] * kernel[1]).enumerate() {
            let scale = f64::from(gain[map]) / (f64::from(variance[map]) + EPSILON).sqrt();
            shift[map] = (f64::from(shift[map]) - f64::from(mean[map]) * scale) as f32;
            weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * scale) as f32);
        }
        let weights = TensorData::new(weights, [to, from, kernel[0], kernel[1]]);
        Ok(InceptionBlock::Convolution(Box::new(FoldedConvolution {
            weights: Tensor::from_data(weights, self.device),
            shift: Tensor::from_data(TensorData::new(shift, [to]), self.device),
            stride,
            padding,
        })))
    }

    /// Consecutive convolutions that keep the size, given as (name, output maps, kernel).
    fn chain(&self, block: &str, from: usize, links: &[(&str, usize, [usize; 2])]) -> Blocks {
        let mut maps = from;
        let mut link = |&(name, to, kernel): &(&str, usize, [usize; 2])| {
            let ends = [std::mem::replace(&mut maps, to), to];
            self.convolution(&format!("{block}.{name}"), ends, kernel, 1, kernel.map(|side| side / 2))
        };
        links.iter().map(&mut link).collect()
    }

    /// As [`Self::chain`], followed by a 3x3 convolution that halves the size.
    fn halving(&self, block: &str, from: usize, links: &[(&str, usize, [usize; 2])], last: (&str, usize)) -> Blocks {
        let mut chain = self.chain(block, from, links)?;
        let maps = links.last().map_or(from, |&(_, maps, _)| maps);
        chain.push(self.convolution(&format!("{block}.{}", last.0), [maps, last.1], [3, 3], 2, [0, 0])?);
        Ok(chain)
    }

    fn network(&self) -> Blocks {
        const HALF: InceptionBlock = InceptionBlock::MaxPool { stride: 2, padding: 0 };
        let plain = |name, ends, side, stride, padding| self.convolution(name, ends, [side; 2], stride, [padding; 2]);
        Ok(vec![
            plain("Conv2d_1a_3x3", [3, 32], 3, 2, 0)?,
            plain("Conv2d_2a_3x3", [32, 32], 3, 1, 0)?,
            plain("Conv2d_2b_3x3", [32, 64], 3, 1, 1)?,
            HALF,
            plain("Conv2d_3b_1x1", [64, 80], 1, 1, 0)?,
            plain("Conv2d_4a_3x3", [80, 192], 3, 1, 0)?,
            HALF,
            self.a("Mixed_5b", 192, 32)?,
            self.a("Mixed_5c", 256, 64)?,
            self.a("Mixed_5d", 288, 64)?,
            InceptionBlock::Branches(vec![
                self.halving("Mixed_6a", 288, &[], ("branch3x3", 384))?,
                self.halving(
                    "Mixed_6a",
                    288,
                    &[("branch3x3dbl_1", 64, [1, 1]), ("branch3x3dbl_2", 96, [3, 3])],
                    ("branch3x3dbl_3", 96),
                )?,
                vec![HALF],
            ]),
            self.c("Mixed_6b", 128)?,
            self.c("Mixed_6c", 160)?,
            self.c("Mixed_6d", 160)?,
            self.c("Mixed_6e", 192)?,
            InceptionBlock::Branches(vec![
                self.halving("Mixed_7a", 768, &[("branch3x3_1", 192, [1, 1])], ("branch3x3_2", 320))?,
                self.halving(
                    "Mixed_7a",
                    768,
                    &[("branch7x7x3_1", 192, [1, 1]), ("branch7x7x3_2", 192, [1, 7]), ("branch7x7x3_3", 192, [7, 1])],
                    ("branch7x7x3_4", 192),
                )?,
                vec![HALF],
            ]),
            self.e("Mixed_7b", 1280, InceptionBlock::AveragePool)?,
            // The network converted from TensorFlow has max pooling here, where torchvision's has average pooling.
            self.e("Mixed_7c", 2048, InceptionBlock::MaxPool { stride: 1, padding: 1 })?,
        ])
    }

    /// Block A, on maps of 35x35.
    fn a(&self, block: &str, from: usize, pooled: usize) -> Result<InceptionBlock, InceptionError> {
        let chain = |links: &[_]| self.chain(block, from, links);
        let mut pool = vec![InceptionBlock::AveragePool];
        pool.extend(chain(&[("branch_pool", pooled, [1, 1])])?);
        Ok(InceptionBlock::Branches(vec![
            chain(&[("branch1x1", 64, [1, 1])])?,
            chain(&[("branch5x5_1", 48, [1, 1]), ("branch5x5_2", 64, [5, 5])])?,
            chain(&[("branch3x3dbl_1", 64, [1, 1]), ("branch3x3dbl_2", 96, [3, 3]), ("branch3x3dbl_3", 96, [3, 3])])?,
            pool,
        ]))
    }

    /// Block C, on maps of 17x17.
    fn c(&self, block: &str, maps: usize) -> Result<InceptionBlock, InceptionError> {
        let chain = |links: &[_]| self.chain(block, 768, links);
        let mut pool = vec![InceptionBlock::AveragePool];
        pool.extend(chain(&[("branch_pool", 192, [1, 1])])?);
        Ok(InceptionBlock::Branches(vec![
            chain(&[("branch1x1", 192, [1, 1])])?,
            chain(&[("branch7x7_1", maps, [1, 1]), ("branch7x7_2", maps, [1, 7]), ("branch7x7_3", 192, [7, 1])])?,
            chain(&[
                ("branch7x7dbl_1", maps, [1, 1]),
                ("branch7x7dbl_2", maps, [7, 1]),
                ("branch7x7dbl_3", maps, [1, 7]),
                ("branch7x7dbl_4", maps, [7, 1]),
                ("branch7x7dbl_5", 192, [1, 7]),
            ])?,
            pool,
        ]))
    }

    /// Block E, on maps of 8x8.
    fn e(&self, block: &str, from: usize, pooling: InceptionBlock) -> Result<InceptionBlock, InceptionError> {
        let fork = |name: &str| -> Result<InceptionBlock, InceptionError> {
            let one = |end: &str, kernel| self.chain(block, 384, &[(&format!("{name}{end}"), 384, kernel)]);
            Ok(InceptionBlock::Branches(vec![one("a", [1, 3])?, one("b", [3, 1])?]))
        };
        let chain = |links: &[_]| self.chain(block, from, links);
        let (mut three, mut double) = (
            chain(&[("branch3x3_1", 384, [1, 1])])?,
            chain(&[("branch3x3dbl_1", 448, [1, 1]), ("branch3x3dbl_2", 384, [3, 3])])?,
        );
        three.push(fork("branch3x3_2")?);
        double.push(fork("branch3x3dbl_3")?);
        let mut pool = vec![pooling];
        pool.extend(chain(&[("branch_pool", 192, [1, 1])])?);
        Ok(InceptionBlock::Branches(vec![chain(&[("branch1x1", 320, [1, 1])])?, three, double, pool]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TensorFile;
    use std::cell::RefCell;

    /// Names and shapes of all tensors of the network.
    fn required_tensors() -> Vec<(String, Vec<usize>)> {
        let required = RefCell::new(Vec::new());
        let lookup = |name: &str, shape: &[usize]| {
            required.borrow_mut().push((name.to_owned(), shape.to_vec()));
            Ok(vec![1.0; shape.iter().product()])
        };
        NetworkBuilder { lookup: &lookup, device: &Device::flex() }.network().unwrap();
        required.into_inner()
    }

    #[test]
    fn the_network_has_inception_v3s_parameters() {
        let required = required_tensors();
        let convolutions = required.iter().filter(|(name, _)| name.ends_with(".conv.weight"));
        assert_eq!(convolutions.clone().count(), 94);
        // torchvision's 23,834,568 without the auxiliary classifier, less the 2,049,000 of the last layer.
        let parameters = required.iter().filter(|(name, _)| !name.contains("running"));
        assert_eq!(parameters.map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>(), 21_785_568);
    }

    #[test]
    fn the_error_names_a_missing_or_misshapen_tensor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inception.safetensors");
        let error_for = |file: &TensorFile| {
            file.write(&path, false).unwrap();
            Inception::open(&path, &Device::flex()).unwrap_err().to_string()
        };
        let mut file = TensorFile::default();
        file.tensors.insert("fc.bias".into(), (vec![2], vec![1.0; 2]));
        let error = error_for(&file);
        assert!(error.contains("inception.safetensors") && error.contains("Conv2d_1a_3x3.conv.weight"), "{error}");
        assert!(error.contains("missing") && error.contains("pt_inception"), "{error}");
        for (name, shape) in required_tensors().into_iter().take(5) {
            let values = vec![1.0; shape.iter().product()];
            file.tensors.insert(name, (shape, values));
        }
        file.tensors.insert("Conv2d_2a_3x3.conv.weight".into(), (vec![2, 1], vec![1.0; 2]));
        let error = error_for(&file);
        assert!(error.contains("Conv2d_2a_3x3.conv.weight is [2, 1], not [32, 32, 3, 3]"), "{error}");
    }
}
