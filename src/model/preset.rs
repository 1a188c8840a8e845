//! Presets: published DCGAN architectures with the settings of their authors' own sources.

use super::ModelConfig;
use super::config::NORM_MOMENTUM;
use super::options::{
    Activation, InitialWeights, NormPlacement, OutputActivation, Padding, Prior, Resampling, SamplingStatistics,
};
use crate::image::Preparation;

/// A published DCGAN.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::Display,
    strum::IntoStaticStr,
    strum::VariantArray,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Preset {
    /// Radford, Metz, Chintala 2015, section 3.
    Paper,
    /// The authors' released face code: alternating updates, L2 1e-5.
    AuthorsFaces,
    /// The PyTorch tutorial and dcgan.torch.
    Pytorch,
    /// carpedm20's TensorFlow code: two generator updates per discriminator update.
    Tensorflow,
    /// The authors' released 32x32 street-number networks.
    AuthorsSvhn,
    /// The 32x32 network of section 5.1, whose features classify CIFAR-10.
    PaperImagenet,
}

impl Preset {
    /// All presets, in display order.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// One-line description, for tool tips.
    pub fn description(self) -> &'static str {
        match self {
            Self::Paper => {
                "As the paper has it: 5x5 kernels, 128 base filters, uniform z, batches of 128. Large and slow."
            }
            Self::AuthorsFaces => {
                "The authors' face code: as the paper, with alternating updates, the generator's first, and L2 decay of 1e-5."
            }
            Self::Pytorch => {
                "The PyTorch tutorial and dcgan.torch: 4x4 kernels, 64 base filters, normal z, batches of 64."
            }
            Self::Tensorflow => {
                "carpedm20's code: 5x5 kernels with biases and TensorFlow's SAME padding, two generator updates of the same z's per discriminator update."
            }
            Self::AuthorsSvhn => {
                "The authors' street numbers at 32x32: 64 base filters, normal z, batches of 64, a learning rate of 5e-4."
            }
            Self::PaperImagenet => {
                "The 32x32 network that the paper classifies CIFAR-10 with: six 3x3 convolutions of strides 1 and 2, z of 256."
            }
        }
    }
}

impl ModelConfig {
    /// The preset's settings, each from its authors' source:
    ///
    /// - `paper`: sections 3 and 4. They do not say whether the projection's batch norm is per map or per unit, or which statistics
    ///   sampling uses; the preset has batch norm per map and batch statistics.
    /// - `authors-faces`: `faces/train_uncond_dcgan.py` of github.com/Newmu/dcgan_code. Theano's `deconv` and `dnn_conv` with
    ///   `border_mode=(2, 2)` for 5x5 kernels of stride 2, no biases; weights N(0, 0.02), gains N(1, 0.02), shifts 0; batch norm with
    ///   epsilon 1e-8, always with batch statistics, per unit after the projection (`batchnorm` of `lib/ops.py` takes a matrix
    ///   there); z uniform in [-1, 1].
    /// - `authors-svhn`: the shapes of `models/svhn_unsup_all_conv_dcgan_100z_gaussian_lr_0.0005_64mb` there and the discriminator
    ///   of `svhn/svhn_semisup_analysis.py`, with the same padding and epsilon as the faces. The training code was not published:
    ///   prior, learning rate and batch size are from the folder's name.
    /// - `paper-imagenet`: `imagenet/load_pretrained.py` and the shapes of `models/imagenet_gan_pretrain_128f_relu_lrelu_7l_3x3_256z`
    ///   there: 3x3 kernels with `border_mode=(1, 1)`, z of 256 uniform in [-1, 1]. Its training code was not published either; the
    ///   remaining settings are the paper's.
    /// - `pytorch`: the PyTorch DCGAN tutorial.
    /// - `tensorflow`: `model.py` and `ops.py` of github.com/carpedm20/DCGAN-tensorflow. `conv2d` initializes its weights with
    ///   `truncated_normal_initializer(stddev=0.02)`, `deconv2d` and `linear` with `random_normal_initializer`; all have biases,
    ///   `linear` per unit; `contrib.layers.batch_norm` has epsilon 1e-5, decay 0.9 and gains of 1; both kinds of convolution use
    ///   SAME padding; z uniform in [-1, 1].
    pub fn preset(preset: Preset) -> Self {
        let paper = Self {
            preset,
            size: 64,
            channels: 3,
            kernel: 5,
            base: 128,
            z_dim: 100,
            prior: Prior::Uniform,
            bias: false,
            norm_epsilon: 1e-8,
            norm_momentum: NORM_MOMENTUM,
            sampling: SamplingStatistics::Batch,
            output: OutputActivation::Tanh,
            leak: 0.0,
            per_stage: 1,
            unit_norm: false,
            unit_bias: false,
            padding: Padding::Symmetric,
            norms: NormPlacement::On,
            activation: Activation::Rectifier,
            resampling: Resampling::Strided,
            hidden: 0,
            initial: InitialWeights::default(),
            preparation: Preparation::default(),
            layout: None,
        };
        match preset {
            Preset::Paper => paper,
            Preset::AuthorsFaces => Self { unit_norm: true, ..paper },
            Preset::Pytorch => Self {
                kernel: 4,
                base: 64,
                prior: Prior::Normal,
                norm_epsilon: 1e-5,
                sampling: SamplingStatistics::Running,
                ..paper
            },
            Preset::Tensorflow => Self {
                base: 64,
                bias: true,
                unit_bias: true,
                norm_epsilon: 1e-5,
                sampling: SamplingStatistics::Running,
                padding: Padding::Same,
                initial: InitialWeights { gains: 0.0, truncated: true, ..InitialWeights::default() },
                ..paper
            },
            Preset::AuthorsSvhn => Self { base: 64, size: 32, prior: Prior::Normal, unit_norm: true, ..paper },
            Preset::PaperImagenet => Self { size: 32, kernel: 3, z_dim: 256, per_stage: 2, unit_norm: true, ..paper },
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::model::{Discriminator, Generator, Layer, Parameter};

    #[test]
    fn every_preset_is_valid_and_has_the_same_name_in_files() {
        for &preset in Preset::ALL {
            ModelConfig::preset(preset).check().unwrap();
            let json = serde_json::to_string(&preset).unwrap();
            assert_eq!(json, format!("\"{preset}\""));
        }
    }

    /// A preset's networks, written out from the sources that [`ModelConfig::preset`] names.
    struct PublishedNetworks {
        preset: Preset,
        /// Trainable values of generator and discriminator.
        parameters: [usize; 2],
        /// Shapes of the generator's weights `[in, out, k, k]` and of the discriminator's `[out, in, k, k]`.
        generator: &'static [[usize; 4]],
        discriminator: &'static [[usize; 4]],
        strides: &'static [usize],
        /// Lengths of the projection's bias and batch norm.
        projection: [usize; 2],
        biases: bool,
        /// Zero padding before and behind the maps of the first strided convolution.
        zeros: [usize; 2],
        /// Standard deviations of the discriminator's kernels and of the gains.
        deviations: [f64; 2],
        epsilon: f64,
        z: (usize, Prior),
        sampling: SamplingStatistics,
    }

    const PUBLISHED: [PublishedNetworks; 6] = [
        PublishedNetworks {
            preset: Preset::Paper,
            parameters: [18_855_040, 17_232_768],
            generator: &[[100, 1024, 4, 4], [1024, 512, 5, 5], [512, 256, 5, 5], [256, 128, 5, 5], [128, 3, 5, 5]],
            discriminator: &[[128, 3, 5, 5], [256, 128, 5, 5], [512, 256, 5, 5], [1024, 512, 5, 5], [1, 1024, 4, 4]],
            strides: &[2, 2, 2, 2],
            projection: [0, 1024],
            biases: false,
            zeros: [2, 1],
            deviations: [0.02, 0.02],
            epsilon: 1e-8,
            z: (100, Prior::Uniform),
            sampling: SamplingStatistics::Batch,
        },
        PublishedNetworks {
            preset: Preset::AuthorsFaces,
            parameters: [18_885_760, 17_232_768],
            generator: &[[100, 1024, 4, 4], [1024, 512, 5, 5], [512, 256, 5, 5], [256, 128, 5, 5], [128, 3, 5, 5]],
            discriminator: &[[128, 3, 5, 5], [256, 128, 5, 5], [512, 256, 5, 5], [1024, 512, 5, 5], [1, 1024, 4, 4]],
            strides: &[2, 2, 2, 2],
            projection: [0, 1024 * 4 * 4],
            biases: false,
            zeros: [2, 1],
            deviations: [0.02, 0.02],
            epsilon: 1e-8,
            z: (100, Prior::Uniform),
            sampling: SamplingStatistics::Batch,
        },
        PublishedNetworks {
            preset: Preset::Pytorch,
            parameters: [3_576_704, 2_765_568],
            generator: &[[100, 512, 4, 4], [512, 256, 4, 4], [256, 128, 4, 4], [128, 64, 4, 4], [64, 3, 4, 4]],
            discriminator: &[[64, 3, 4, 4], [128, 64, 4, 4], [256, 128, 4, 4], [512, 256, 4, 4], [1, 512, 4, 4]],
            strides: &[2, 2, 2, 2],
            projection: [0, 512],
            biases: false,
            zeros: [1, 1],
            deviations: [0.02, 0.02],
            epsilon: 1e-5,
            z: (100, Prior::Normal),
            sampling: SamplingStatistics::Running,
        },
        PublishedNetworks {
            preset: Preset::Tensorflow,
            parameters: [5_135_363, 4_316_545],
            generator: &[[100, 512, 4, 4], [512, 256, 5, 5], [256, 128, 5, 5], [128, 64, 5, 5], [64, 3, 5, 5]],
            discriminator: &[[64, 3, 5, 5], [128, 64, 5, 5], [256, 128, 5, 5], [512, 256, 5, 5], [1, 512, 4, 4]],
            strides: &[2, 2, 2, 2],
            projection: [512 * 4 * 4, 512],
            biases: true,
            zeros: [1, 2],
            // A normal distribution truncated at two deviations: 0.02 times the root of 1 - 4 phi(2) / (2 Phi(2) - 1).
            deviations: [0.02 * 0.879_626, 0.0],
            epsilon: 1e-5,
            z: (100, Prior::Uniform),
            sampling: SamplingStatistics::Running,
        },
        PublishedNetworks {
            preset: Preset::AuthorsSvhn,
            parameters: [1_446_976, 1_033_664],
            generator: &[[100, 256, 4, 4], [256, 128, 5, 5], [128, 64, 5, 5], [64, 3, 5, 5]],
            discriminator: &[[64, 3, 5, 5], [128, 64, 5, 5], [256, 128, 5, 5], [1, 256, 4, 4]],
            strides: &[2, 2, 2],
            projection: [0, 256 * 4 * 4],
            biases: false,
            zeros: [2, 1],
            deviations: [0.02, 0.02],
            epsilon: 1e-8,
            z: (100, Prior::Normal),
            sampling: SamplingStatistics::Batch,
        },
        PublishedNetworks {
            preset: Preset::PaperImagenet,
            parameters: [6_690_688, 4_586_112],
            generator: &[
                [256, 512, 4, 4],
                [512, 512, 3, 3],
                [512, 256, 3, 3],
                [256, 256, 3, 3],
                [256, 128, 3, 3],
                [128, 128, 3, 3],
                [128, 3, 3, 3],
            ],
            discriminator: &[
                [128, 3, 3, 3],
                [128, 128, 3, 3],
                [256, 128, 3, 3],
                [256, 256, 3, 3],
                [512, 256, 3, 3],
                [512, 512, 3, 3],
                [1, 512, 4, 4],
            ],
            strides: &[2, 1, 2, 1, 2, 1],
            projection: [0, 512 * 4 * 4],
            biases: false,
            zeros: [1, 0],
            deviations: [0.02, 0.02],
            epsilon: 1e-8,
            z: (256, Prior::Uniform),
            sampling: SamplingStatistics::Batch,
        },
    ];

    fn shapes(layers: &[Layer]) -> Vec<Vec<usize>> {
        layers.iter().map(|layer| layer.weight.shape.clone()).collect()
    }

    /// Mean and standard deviation of the values, and the largest deviation from the mean.
    fn spread<'a>(parameters: impl Iterator<Item = &'a Parameter>) -> [f64; 3] {
        let values: Vec<f64> =
            parameters.flat_map(|p| p.value.to_data().iter::<f32>().map(f64::from).collect::<Vec<_>>()).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        [mean, variance.sqrt(), values.iter().map(|v| (v - mean).abs()).fold(0.0, f64::max)]
    }

    #[test]
    fn every_presets_networks_match_their_source() {
        let device = Device::flex();
        assert_eq!(PUBLISHED.map(|published| published.preset), Preset::ALL);
        for published in &PUBLISHED {
            let preset = published.preset;
            let config = ModelConfig::preset(preset);
            let (generator, discriminator) =
                (Generator::new(&config, 1, &device), Discriminator::new(&config, 1, &device));
            assert_eq!(
                [generator.parameter_count(), discriminator.parameter_count()],
                published.parameters,
                "{preset}"
            );
            assert_eq!(shapes(generator.layers()), published.generator, "{preset}");
            assert_eq!(shapes(&discriminator.layers), published.discriminator, "{preset}");
            let strides = |layers: &[Layer]| -> Vec<usize> {
                layers.iter().filter_map(|layer| Some(layer.convolution?.geometry.stride)).collect()
            };
            let mirrored: Vec<usize> = published.strides.iter().rev().copied().collect();
            assert_eq!(
                (strides(generator.layers()), strides(&discriminator.layers)),
                (published.strides.to_vec(), mirrored)
            );
            let first = &generator.layers()[0];
            let lengths = [first.bias.as_ref().map_or(0, Parameter::len), first.norm.as_ref().unwrap().gain.len()];
            assert_eq!(lengths, published.projection, "{preset}");
            let all = || generator.layers().iter().chain(&discriminator.layers);
            assert!(all().all(|layer| layer.bias.is_some() == published.biases), "{preset}");
            let normed = |layers: &[Layer]| layers.iter().map(|layer| layer.norm.is_some()).collect::<Vec<_>>();
            let last = generator.layers().len() - 1;
            assert!(normed(generator.layers()).iter().enumerate().all(|(i, normed)| *normed == (i < last)));
            assert!(normed(&discriminator.layers).iter().enumerate().all(|(i, normed)| *normed == (i > 0 && i < last)));
            let strided = generator.layers()[1].convolution.unwrap().geometry;
            assert_eq!([strided.before, strided.behind(config.kernel)], published.zeros, "{preset}");
            assert_eq!(config.norm_epsilon, published.epsilon);
            assert_eq!(
                (config.z_dim, config.prior, config.sampling),
                (published.z.0, published.z.1, published.sampling)
            );

            let [kernels, gains] = published.deviations;
            let [mean, deviation, most] = spread(discriminator.layers[..last].iter().map(|layer| &layer.weight));
            assert!(mean.abs() < 1e-4 && (deviation / kernels - 1.0).abs() < 0.01, "{preset}: {mean} {deviation}");
            assert_eq!(most < 0.0401, kernels < 0.02, "{preset}: the largest deviation is {most}");
            // The weights of the generator and of the discriminator's head are never truncated.
            let [mean, deviation, most] = spread(generator.layers().iter().map(|layer| &layer.weight));
            assert!(mean.abs() < 1e-4 && (deviation / 0.02 - 1.0).abs() < 0.01 && most > 0.06, "{preset}");
            let [_, deviation, most] = spread(discriminator.layers[last..].iter().map(|layer| &layer.weight));
            assert!((deviation / 0.02 - 1.0).abs() < 0.05 && most > 0.05, "{preset}: {deviation} {most}");
            let norms = || all().filter_map(|layer| layer.norm.as_ref());
            let [mean, deviation, _] = spread(norms().map(|norm| &norm.gain));
            assert!((mean - 1.0).abs() < 2e-3 && (deviation - gains).abs() < 2e-3, "{preset}: {mean} {deviation}");
            let zeros = norms().map(|norm| &norm.shift).chain(all().filter_map(|layer| layer.bias.as_ref()));
            assert_eq!(spread(zeros)[2], 0.0, "{preset}");
        }
    }
}
