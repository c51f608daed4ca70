/** Everything a user of the package may import. */
export { type BundleLabel, readManifest } from './bundle.js';
export type { OnProblem } from './data/annotation-file.js';
export type { ColorJitter, CropRange } from './data/augment.js';
export { type CaptionWords, openCaptionWords } from './data/caption-words.js';
export {
  type CaptionCheck,
  type CaptionCheckOptions,
  checkCaptions,
} from './data/check-captions.js';
export { checkDataset, type DatasetCheck, type DatasetCheckOptions } from './data/check-dataset.js';
export { DATASET_KINDS, type DatasetKind } from './data/dataset-kinds.js';
export { type ImageFolders, openImageFolders } from './data/image-folders.js';
export { type ImageTextOptions, openCaptions, openImageText } from './data/image-text.js';
export type { ImageText } from './data/image-text-sample.js';
export type { Mosaic } from './data/mosaic.js';
export { openDataset } from './data/open-dataset.js';
export { type PanopticOptions, panopticData } from './data/panoptic.js';
export type { Placed, SampleSource, StreamRequest } from './data/sample-stream.js';
export type {
  DatasetClass,
  ObjectMask,
  SegmentationDataset,
  Truth,
  TruthSegment,
} from './data/segmentation-dataset.js';
export type { TrueVideo, VideoDataset } from './data/video-dataset.js';
export { openVipseg } from './data/vipseg.js';
export { ERROR_CODES, type ErrorCode, LexisegError } from './errors.js';
export type { PrecisionScore } from './evaluation/average-precision.js';
export type { SemanticScore } from './evaluation/confusion.js';
export { type EvaluationOptions, evaluate } from './evaluation/evaluate.js';
export {
  evaluateImages,
  type ImageClassOptions,
  type ImageClassReport,
} from './evaluation/image-classes.js';
export { type LabelSpace, labelSpace } from './evaluation/label-space.js';
export type { PanopticScore } from './evaluation/panoptic-quality.js';
export { patchReportHtml } from './evaluation/patch-report-html.js';
export { evaluatePatches, type PatchOptions, type PatchReport } from './evaluation/patches.js';
export type {
  ClassScores,
  EvaluationReport,
  GroupScores,
  ImageScore,
} from './evaluation/report.js';
export type { ReportFacts } from './evaluation/report-facts.js';
export { type ReportPicture, reportHtml } from './evaluation/report-html.js';
export { type PictureOptions, reportPictures } from './evaluation/report-pictures.js';
export {
  evaluateVideo,
  type VideoEvaluationOptions,
  type VideoReport,
  type VideoScores,
} from './evaluation/video/evaluate-video.js';
export { videoReportHtml } from './evaluation/video/report-html.js';
export type { ImageInput, RawImage } from './image.js';
export type { PatchEmbeddings } from './inference/dense.js';
export type { StageTime } from './inference/pipeline.js';
export { type Configuration, configure } from './libtorch/configure.js';
export type { CacheOption, Device, Exponents, LoadOptions } from './load-options.js';
export type { Manifest, TrainingClass, WeightsInfo } from './manifest.js';
export type { ParameterGroup, TrainingInfo } from './manifest-training.js';
export { type MiningOptions, type MiningReport, minePairs } from './mining/mine-pairs.js';
export type { NativeMemoryStats as MemoryStats } from './native.js';
export type { NativeModelInfo as ModelInfo } from './native-model.js';
export type {
  CallOptions,
  ImageBatchOptions,
  ImageOptions,
  Progress,
  SegmentOptions,
  Size,
  Task,
  Templates,
  Thresholds,
  VocabularyOptions,
} from './options.js';
export { Classification, Proposals } from './proposals.js';
export type { CocoOptions, CocoResult, PanopticJson } from './results/coco.js';
export { colourOfName } from './results/colours.js';
export type { Feature, FeatureCollection } from './results/geojson.js';
export { HeatMap, type HeatMapOptions } from './results/heat-map.js';
export { ImageClassification, type RankedClass } from './results/image-classification.js';
export { InstanceSegmentation } from './results/instance.js';
export type { OverlayOptions } from './results/overlay.js';
export { PanopticSegmentation } from './results/panoptic.js';
export {
  type Box,
  type Segment,
  Segmentation,
  type SegmentationJson,
} from './results/segmentation.js';
export type { SegmentationOf } from './results/segmentation-of.js';
export { SemanticSegmentation } from './results/semantic.js';
export { Segmenter, type SegmenterOptions, type SegmentInput } from './segmenter.js';
export { type DType, Tensor, type TensorData, type TensorFromOptions } from './tensor.js';
export {
  cleanClassName,
  type SynonymOptions,
  type SynonymRow,
  synonymTable,
} from './text/synonym-table.js';
export {
  readVocabulary,
  shippedVocabularies,
  type VocabularyFile,
} from './text/vocabulary-file.js';
export { type NounSense, WordNet } from './text/wordnet.js';
export type { BatchRequest, TrainingBatch, TrainingData } from './training/batch.js';
export type { BundleExport } from './training/bundle-export.js';
export type { DistributedOptions } from './training/environment.js';
export type { StepEvent, TrainingEvent } from './training/event.js';
export type { GroupOptions, OptimizerOptions } from './training/optimizer.js';
export { trainingReportHtml } from './training/report-html.js';
export type { RunOptions } from './training/run-options.js';
export type { ScheduleOptions } from './training/schedule.js';
export type { StepOptions, StepResult, TrainerInfo } from './training/step.js';
export { TensorBoardLog } from './training/tensorboard.js';
export { Trainer } from './training/trainer.js';
export type { TrainerOptions } from './training/trainer-options.js';
export type { Frames } from './video/frames.js';
export { segmentVideo, type VideoFrame, type VideoOptions } from './video/segment-video.js';
export type { Tracking } from './video/tracking.js';
export {
  type ClassDefinition,
  type ClassInput,
  Vocabulary,
  type VocabularyClass,
} from './vocabulary.js';
