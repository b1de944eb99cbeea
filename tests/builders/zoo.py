"""A tiny model of every family, and inputs for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from tests.builders.tiny import make_batch
from tests.builders.tiny_configs import (
    AST,
    BART,
    DEBERTA,
    GROUPED,
    IMAGE,
    LABELS,
    T5,
    VOCABULARY,
    WAV2VEC2,
    WHISPER,
    encoder,
    other,
)

# Name of the case: (model class, config). The part before "/" is the model type.
ZOO: dict[str, tuple[str, Callable[[], PretrainedConfig]]] = {
    "bert": ("BertForSequenceClassification", encoder("BertConfig")),
    "roberta": ("RobertaForSequenceClassification", encoder("RobertaConfig")),
    "xlm-roberta": ("XLMRobertaForTokenClassification", encoder("XLMRobertaConfig")),
    "electra": ("ElectraForSequenceClassification", encoder("ElectraConfig", embedding_size=16)),
    "camembert": ("CamembertForSequenceClassification", encoder("CamembertConfig")),
    "data2vec-text": ("Data2VecTextForSequenceClassification", encoder("Data2VecTextConfig")),
    "ernie": ("ErnieForSequenceClassification", encoder("ErnieConfig")),
    "layoutlm": ("LayoutLMForSequenceClassification", encoder("LayoutLMConfig", max_2d_position_embeddings=8)),
    "megatron-bert": ("MegatronBertForSequenceClassification", encoder("MegatronBertConfig")),
    "roberta-prelayernorm": ("RobertaPreLayerNormForSequenceClassification", encoder("RobertaPreLayerNormConfig")),
    "roformer": ("RoFormerForSequenceClassification", encoder("RoFormerConfig", embedding_size=16)),
    "xlm-roberta-xl": ("XLMRobertaXLForSequenceClassification", encoder("XLMRobertaXLConfig")),
    "distilbert": (
        "DistilBertForSequenceClassification",
        other(
            "DistilBertConfig",
            vocab_size=VOCABULARY,
            dim=32,
            n_layers=2,
            n_heads=4,
            hidden_dim=48,
            max_position_embeddings=40,
        ),
    ),
    "albert": ("AlbertForSequenceClassification", encoder("AlbertConfig", embedding_size=16)),
    "deberta-v2": ("DebertaV2ForSequenceClassification", encoder("DebertaV2Config", share_att_key=True, **DEBERTA)),
    "deberta-v2/own-positions": (
        "DebertaV2ForSequenceClassification",
        encoder("DebertaV2Config", share_att_key=False, **DEBERTA),
    ),
    "mpnet": ("MPNetForSequenceClassification", encoder("MPNetConfig")),
    "modernbert": (
        "ModernBertForSequenceClassification",
        encoder("ModernBertConfig", cls_token_id=1, sep_token_id=2, reference_compile=False),
    ),
    "mobilebert": (
        "MobileBertForSequenceClassification",
        encoder("MobileBertConfig", intra_bottleneck_size=16, embedding_size=16, num_feedforward_networks=2),
    ),
    "nomic_bert": ("NomicBertForSequenceClassification", encoder("NomicBertConfig")),
    "eurobert": ("EuroBertForSequenceClassification", encoder("EuroBertConfig", **GROUPED)),
    "t5": ("T5ForConditionalGeneration", other("T5Config", **T5)),
    "t5/gated-encoder": (
        "T5EncoderModel",
        other("T5Config", feed_forward_proj="gated-gelu", tie_word_embeddings=False, **T5),
    ),
    "mt5": ("MT5ForConditionalGeneration", other("MT5Config", initializer_factor=0.3, **T5)),
    "umt5": ("UMT5ForConditionalGeneration", other("UMT5Config", **T5)),
    "bart": ("BartForConditionalGeneration", other("BartConfig", **BART)),
    "bart/classifier": ("BartForSequenceClassification", other("BartConfig", **BART)),
    "blenderbot": ("BlenderbotForConditionalGeneration", other("BlenderbotConfig", **BART)),
    "blenderbot-small": ("BlenderbotSmallForConditionalGeneration", other("BlenderbotSmallConfig", **BART)),
    "m2m_100": ("M2M100ForConditionalGeneration", other("M2M100Config", **BART)),
    "marian": ("MarianMTModel", other("MarianConfig", **BART)),
    "mbart": ("MBartForConditionalGeneration", other("MBartConfig", **BART)),
    "pegasus": ("PegasusForConditionalGeneration", other("PegasusConfig", **BART)),
    "plbart": ("PLBartForConditionalGeneration", other("PLBartConfig", **BART)),
    "gpt2": (
        "GPT2LMHeadModel",
        other("GPT2Config", vocab_size=VOCABULARY, n_positions=40, n_embd=32, n_layer=2, n_head=4),
    ),
    "llama": ("LlamaForCausalLM", encoder("LlamaConfig", **GROUPED)),
    "llama/classifier": ("LlamaForSequenceClassification", encoder("LlamaConfig", num_key_value_heads=4)),
    "mistral": ("MistralForCausalLM", encoder("MistralConfig", **GROUPED)),
    "qwen2": ("Qwen2ForCausalLM", encoder("Qwen2Config", **GROUPED)),
    "qwen3": ("Qwen3ForCausalLM", encoder("Qwen3Config", head_dim=16, **GROUPED)),
    "gemma": ("GemmaForCausalLM", encoder("GemmaConfig", head_dim=16, **GROUPED)),
    "gemma2": ("Gemma2ForCausalLM", encoder("Gemma2Config", head_dim=16, sliding_window=8, **GROUPED)),
    "gemma3_text": ("Gemma3ForCausalLM", encoder("Gemma3TextConfig", head_dim=16, sliding_window=8, **GROUPED)),
    "granite": ("GraniteForCausalLM", encoder("GraniteConfig", **GROUPED)),
    "smollm3": ("SmolLM3ForCausalLM", encoder("SmolLM3Config", **GROUPED)),
    "olmo": ("OlmoForCausalLM", encoder("OlmoConfig", **GROUPED)),
    "helium": ("HeliumForCausalLM", encoder("HeliumConfig", head_dim=8, **GROUPED)),
    "cohere": ("CohereForCausalLM", encoder("CohereConfig", **GROUPED)),
    "cohere2": ("Cohere2ForCausalLM", encoder("Cohere2Config", **GROUPED)),
    "ernie4_5": ("Ernie4_5ForCausalLM", encoder("Ernie4_5Config", **GROUPED)),
    "exaone4": ("Exaone4ForCausalLM", encoder("Exaone4Config", **GROUPED)),
    "hunyuan_v1_dense": ("HunYuanDenseV1ForCausalLM", encoder("HunYuanDenseV1Config", head_dim=8, **GROUPED)),
    "seed_oss": ("SeedOssForCausalLM", encoder("SeedOssConfig", head_dim=8, **GROUPED)),
    "glm": ("GlmForCausalLM", encoder("GlmConfig", head_dim=8, **GROUPED)),
    "glm4": ("Glm4ForCausalLM", encoder("Glm4Config", head_dim=8, **GROUPED)),
    "gpt_neox": ("GPTNeoXForCausalLM", encoder("GPTNeoXConfig")),
    "stablelm": ("StableLmForCausalLM", encoder("StableLmConfig", **GROUPED)),
    "starcoder2": ("Starcoder2ForCausalLM", encoder("Starcoder2Config", **GROUPED)),
    "nemotron": ("NemotronForCausalLM", encoder("NemotronConfig", head_dim=8, **GROUPED)),
    "arcee": ("ArceeForCausalLM", encoder("ArceeConfig", **GROUPED)),
    "phi": ("PhiForCausalLM", encoder("PhiConfig", **GROUPED)),
    "opt": (
        "OPTForCausalLM",
        encoder("OPTConfig", ffn_dim=48, word_embed_proj_dim=32),
    ),
    "biogpt": ("BioGptForCausalLM", encoder("BioGptConfig")),
    "xglm": (
        "XGLMForCausalLM",
        encoder("XGLMConfig", d_model=32, ffn_dim=48, num_layers=2, attention_heads=4),
    ),
    "gpt_neo": (
        "GPTNeoForCausalLM",
        encoder("GPTNeoConfig", num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]]),
    ),
    "gptj": ("GPTJForCausalLM", encoder("GPTJConfig", n_embd=32, n_layer=2, n_head=4, n_inner=48, rotary_dim=4)),
    "deit": ("DeiTForImageClassification", other("DeiTConfig", **IMAGE)),
    "dinov2": ("Dinov2ForImageClassification", other("Dinov2Config", mlp_ratio=2, **IMAGE)),
    "dinov2/gated": ("Dinov2ForImageClassification", other("Dinov2Config", use_swiglu_ffn=True, mlp_ratio=3, **IMAGE)),
    "vit_msn": ("ViTMSNForImageClassification", other("ViTMSNConfig", **IMAGE)),
    "beit": ("BeitForImageClassification", other("BeitConfig", vocab_size=8, **IMAGE)),
    "data2vec-vision": ("Data2VecVisionForImageClassification", other("Data2VecVisionConfig", vocab_size=8, **IMAGE)),
    "dinov2_with_registers": (
        "Dinov2WithRegistersForImageClassification",
        other("Dinov2WithRegistersConfig", mlp_ratio=2, **IMAGE),
    ),
    "ijepa": ("IJepaForImageClassification", other("IJepaConfig", **IMAGE)),
    "vit": (
        "ViTForImageClassification",
        other("ViTConfig", **IMAGE),
    ),
    "wav2vec2": ("Wav2Vec2ForSequenceClassification", other("Wav2Vec2Config", **WAV2VEC2)),
    "wav2vec2/large": (
        "Wav2Vec2ForSequenceClassification",
        other("Wav2Vec2Config", feat_extract_norm="layer", do_stable_layer_norm=True, **WAV2VEC2),
    ),
    "hubert": ("HubertForSequenceClassification", other("HubertConfig", **WAV2VEC2)),
    "data2vec-audio": ("Data2VecAudioForSequenceClassification", other("Data2VecAudioConfig", **WAV2VEC2)),
    "sew": ("SEWForSequenceClassification", other("SEWConfig", squeeze_factor=2, **WAV2VEC2)),
    "unispeech": ("UniSpeechForSequenceClassification", other("UniSpeechConfig", **WAV2VEC2)),
    "unispeech-sat": ("UniSpeechSatForSequenceClassification", other("UniSpeechSatConfig", **WAV2VEC2)),
    "audio-spectrogram-transformer": ("ASTForAudioClassification", other("ASTConfig", **AST)),
    "whisper": ("WhisperForAudioClassification", other("WhisperConfig", **WHISPER)),
    "whisper/speech": ("WhisperForConditionalGeneration", other("WhisperConfig", **WHISPER)),
}

# First release of transformers with the family, and whether its slices are exported to OpenVINO and ONNX by the tests.
_FIRST = (
    *("bert", "roberta", "xlm-roberta", "electra", "distilbert", "albert", "deberta-v2", "mpnet", "t5", "bart", "gpt2"),
    *("llama", "mistral", "qwen2", "gemma", "vit"),
)
_NAMES = dict.fromkeys(case.partition("/")[0] for case in ZOO)
_OTHERWISE = {"modernbert": "4.48", "qwen3": "4.51", "nomic_bert": "5.24", "eurobert": "5.24"}
SINCE = {name: "4.45" if name in _FIRST else "4.57" for name in _NAMES} | _OTHERWISE
# In which runtimes slices were compared with torch by tests/integrations/test_family_exports.py, and where.
_LATEST = ("4.57", "5.24")
_LATER = {name: "OpenVINO, ONNX (transformers 5)" for name in _NAMES if SINCE[name] in _LATEST}

# Whose masks of frames OpenVINO makes one frame longer at some lengths: it rounds where it should cut.
MISCOUNTED = ("hubert", "sew")
_MISCOUNTED = dict.fromkeys(MISCOUNTED, "OpenVINO without masks, ONNX (transformers 5)")
EXPORTED = dict.fromkeys(_NAMES, "OpenVINO, ONNX") | _LATER | _MISCOUNTED

# How classes end that need inputs of their decoder.
SEQ2SEQ = ("ForConditionalGeneration", "MTModel")


def here() -> list[str]:
    """The cases that the installed transformers has."""
    return [case for case, (name, _) in ZOO.items() if hasattr(transformers, name)]


def later_slow(cases: Iterable[str]) -> list[Any]:
    """Cases for `parametrize`; those of families that came later, most of them siblings, are slow tests."""
    came_later = {case for case in ZOO if SINCE[case.partition("/")[0]] in _LATEST}
    return [pytest.param(case, marks=pytest.mark.slow) if case in came_later else case for case in cases]


def is_exported(case: str) -> bool:
    """Whether slices of a case are compared with torch in other runtimes, on this stack."""
    where = EXPORTED[case.partition("/")[0]]
    return "5" not in where or int(transformers.__version__.partition(".")[0]) >= 5


def make_model(case: str, seed: int = 0) -> PreTrainedModel:
    """A model of a declared family."""
    return make_other_model(*ZOO[case], seed)


def make_other_model(name: str, make_config: Callable[[], PretrainedConfig], seed: int = 0) -> PreTrainedModel:
    """A model of a class, with weights large enough for slices to differ, in evaluation mode."""
    torch.manual_seed(seed)
    model = getattr(transformers, name)(make_config())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # not Marian's positions, which are computed and not saved
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()  # type: ignore[no-any-return]


def make_inputs(case: str, seed: int = 0) -> dict[str, Tensor]:
    """Padded, labelled inputs."""
    generator = torch.Generator().manual_seed(seed)
    if "ImageClassification" in ZOO[case][0]:
        images = torch.rand(4, 3, 16, 16, generator=generator)
        return {"pixel_values": images, "labels": torch.randint(0, LABELS, (4,), generator=generator)}
    batch = make_batch(size=4, tokens=10, labels=LABELS, seed=seed)
    name = ZOO[case][0]
    if (sounds := sound_input(case)) is not None:
        labels = batch["input_ids"] if name.endswith(SEQ2SEQ) else batch["labels"]
        return {**_sounds(*sounds, generator), "labels": labels}
    ids, mask = batch["input_ids"], batch["attention_mask"]
    if name.endswith(("CausalLM", "LMHeadModel", *SEQ2SEQ)):
        batch["labels"] = ids.masked_fill(mask == 0, -100)
    elif "Token" in name:
        batch["labels"] = torch.randint(0, LABELS, ids.shape, generator=generator).masked_fill(mask == 0, -100)
    elif name.startswith("Bart"):  # reads the state of the last end-of-sequence token
        batch["input_ids"] = ids.scatter(1, mask.sum(1, keepdim=True) - 1, 2)
    if name == "T5EncoderModel":
        del batch["labels"]
    return batch


def sound_input(case: str) -> tuple[str, tuple[int, ...]] | None:
    """The input of a model of sounds, and its shape: samples, or both sides of a spectrogram; None for another."""
    name = ZOO[case][0]
    if name.startswith("AST"):
        return "input_values", (AST["max_length"], AST["num_mel_bins"])
    if name.startswith("Whisper"):
        return "input_features", (WHISPER["num_mel_bins"], 2 * WHISPER["max_source_positions"])
    return ("input_values", (400,)) if getattr(transformers, name).main_input_name == "input_values" else None


def _sounds(name: str, shape: tuple[int, ...], generator: torch.Generator) -> dict[str, Tensor]:
    """Four sounds, one of them shorter where they are samples."""
    heard = torch.randn(4, *shape, generator=generator)
    if len(shape) > 1:
        return {name: heard}
    mask = torch.ones(4, *shape, dtype=torch.long)
    mask[1, 300:] = 0
    return {name: heard * mask, "attention_mask": mask}


def outputs_of(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    """The first output that is not the loss: logits, or hidden states."""
    features = {name: value for name, value in inputs.items() if name != "labels"}
    if type(model).__name__.endswith((*SEQ2SEQ, "ForSeq2SeqLM")):
        features["decoder_input_ids"] = inputs["labels"].clamp_min(0)
    with torch.no_grad():
        found = model(**features)
    return torch.as_tensor(found["logits"] if "logits" in found else found[0]).clone()
