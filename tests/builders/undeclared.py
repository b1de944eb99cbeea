"""Tiny models of architectures that no family is declared for: those that one is derived for, and those refused."""

from __future__ import annotations

from collections.abc import Callable

import transformers
from transformers import PretrainedConfig, PreTrainedModel

from tests.builders.tiny_configs import BART, DEBERTA, GROUPED, IMAGE, T5, VOCABULARY, encoder, other
from tests.builders.zoo import make_other_model

Case = tuple[str, Callable[[], PretrainedConfig]]

_GPT2 = {"vocab_size": VOCABULARY, "n_positions": 40, "n_embd": 32, "n_layer": 2, "n_head": 4}
_XLM = {"vocab_size": VOCABULARY, "emb_dim": 32, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 40}
_SWIN = {"image_size": 16, "patch_size": 2, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4}
_LED = {"max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64, "attention_window": 8}


def _of_two(name: str) -> Callable[[], PretrainedConfig]:
    """A config of pictures and texts."""
    text = {key: value for key, value in IMAGE.items() if "size" not in key} | {"hidden_size": 32}
    return lambda: getattr(transformers, name)(
        vision_config=dict(IMAGE), text_config={**text, "intermediate_size": 48, "vocab_size": VOCABULARY}
    )


DERIVED: dict[str, Case] = {
    "rembert": ("RemBertForSequenceClassification", encoder("RemBertConfig", input_embedding_size=16)),
    "splinter": ("SplinterForQuestionAnswering", encoder("SplinterConfig")),
    "big_bird": ("BigBirdForSequenceClassification", encoder("BigBirdConfig", attention_type="original_full")),
    "esm": ("EsmForSequenceClassification", encoder("EsmConfig", position_embedding_type="rotary", mask_token_id=3)),
    "xmod": (
        "XmodForSequenceClassification",
        encoder("XmodConfig", languages=("en_XX",), default_language="en_XX"),
    ),
    "roc_bert": (
        "RoCBertForSequenceClassification",
        encoder("RoCBertConfig", pronunciation_vocab_size=8, shape_vocab_size=8),
    ),
    "yoso": ("YosoForSequenceClassification", encoder("YosoConfig")),
    "xlm": ("XLMForSequenceClassification", other("XLMConfig", **_XLM)),
    "flaubert": ("FlaubertForSequenceClassification", other("FlaubertConfig", **_XLM)),
    "tapas": (
        "TapasForSequenceClassification",
        encoder("TapasConfig", type_vocab_sizes=[3, 4, 4, 2, 4, 4, 4]),
    ),
    "luke": ("LukeForSequenceClassification", encoder("LukeConfig", entity_vocab_size=8, entity_emb_size=16)),
    "markuplm": ("MarkupLMForSequenceClassification", encoder("MarkupLMConfig", max_depth=4, xpath_unit_hidden_size=4)),
    "jina_embeddings_v3": ("JinaEmbeddingsV3ForSequenceClassification", encoder("JinaEmbeddingsV3Config")),
    "bert-generation": ("BertGenerationDecoder", encoder("BertGenerationConfig", is_decoder=True)),
    "modernbert-decoder": (
        "ModernBertDecoderForCausalLM",
        encoder("ModernBertDecoderConfig", cls_token_id=1, sep_token_id=2),
    ),
    "gpt_neox_japanese": ("GPTNeoXJapaneseForCausalLM", encoder("GPTNeoXJapaneseConfig")),
    "gpt_bigcode": ("GPTBigCodeForCausalLM", other("GPTBigCodeConfig", n_inner=48, multi_query=False, **_GPT2)),
    "codegen": ("CodeGenForCausalLM", other("CodeGenConfig", n_inner=48, rotary_dim=4, **_GPT2)),
    "ctrl": ("CTRLForSequenceClassification", other("CTRLConfig", dff=48, **_GPT2)),
    "persimmon": ("PersimmonForCausalLM", encoder("PersimmonConfig")),
    "apertus": ("ApertusForCausalLM", encoder("ApertusConfig", **GROUPED)),
    "lfm2": ("Lfm2ForCausalLM", encoder("Lfm2Config", layer_types=["conv", "full_attention"], **GROUPED)),
    "jamba": (
        "JambaForCausalLM",
        encoder(
            "JambaConfig",
            num_experts=1,
            attn_layer_period=2,
            attn_layer_offset=1,
            use_mamba_kernels=False,
            mamba_d_state=4,
            **GROUPED,
        ),
    ),
    "switch_transformers": (
        "SwitchTransformersForConditionalGeneration",
        other(
            "SwitchTransformersConfig", num_experts=2, num_sparse_encoder_layers=1, num_sparse_decoder_layers=1, **T5
        ),
    ),
    "longt5": ("LongT5ForConditionalGeneration", other("LongT5Config", local_radius=4, **T5)),
    "mvp": ("MvpForConditionalGeneration", other("MvpConfig", **BART)),
    "dinov3_vit": ("DINOv3ViTModel", other("DINOv3ViTConfig", **IMAGE)),
    "clip": ("CLIPForImageClassification", _of_two("CLIPConfig")),
    "clip_text_model": ("CLIPTextModel", encoder("CLIPTextConfig")),
    "siglip": ("SiglipForImageClassification", _of_two("SiglipConfig")),
}

# Of these, transformers 4 computes attention in a way that does not bear fewer heads, or saves other weights.
LATER = ("apertus", "clip", "clip_text_model", "codegen", "ctrl", "siglip")

# With what is said of each.
REFUSED: dict[str, tuple[Case, str]] = {
    "bloom": (
        ("BloomForCausalLM", other("BloomConfig", vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4)),
        r"h\.0\.self_attention\.dense: another order of its units changes",
    ),
    "mpt": (
        ("MptForCausalLM", other("MptConfig", vocab_size=VOCABULARY, d_model=32, n_layers=2, n_heads=4)),
        r"blocks\.0\.attn\.out_proj: another order of its units changes",
    ),
    "deberta": (
        ("DebertaForSequenceClassification", encoder("DebertaConfig", **DEBERTA)),
        r"layer\.0\.attention\.output\.dense: another order of its units changes",
    ),
    "longformer": (
        ("LongformerForSequenceClassification", encoder("LongformerConfig", attention_window=8)),
        r"layer\.0\.attention\.output\.dense: without 2 of 4 units it does not compute",
    ),
    "led": (
        (
            "LEDForConditionalGeneration",
            other("LEDConfig", **_LED, **{key: BART[key] for key in BART if key != "max_position_embeddings"}),
        ),
        r"self_attn\.output: without 2 of 4 units it does not compute",
    ),
    "phi3": (
        ("Phi3ForCausalLM", encoder("Phi3Config")),
        r"layers\.0\.self_attn\.o_proj: without 2 of 4 units it does not compute",
    ),
    "olmo2": (
        ("Olmo2ForCausalLM", encoder("Olmo2Config", **GROUPED)),
        r"no attention with heads .*self_attn\.o_proj reads depends on all that .*q_proj gives",
    ),
    "fnet": (("FNetForSequenceClassification", encoder("FNetConfig")), "no attention with heads"),
    "xlnet": (
        (
            "XLNetForSequenceClassification",
            other("XLNetConfig", vocab_size=VOCABULARY, d_model=32, n_layer=2, n_head=4, d_inner=48),
        ),
        "no attention with heads",
    ),
    "ibert": (("IBertForSequenceClassification", encoder("IBertConfig")), "no attention with heads"),
    "falcon": (("FalconForCausalLM", encoder("FalconConfig", multi_query=False)), "no attention with heads"),
    "openai-gpt": (
        ("OpenAIGPTForSequenceClassification", other("OpenAIGPTConfig", **_GPT2)),
        r"h\.0\.attn\.c_proj: nothing beside it says that a head has 8 features",
    ),
    "swin": (
        (
            "SwinForImageClassification",
            other(
                "SwinConfig", image_size=16, patch_size=2, embed_dim=16, depths=[1, 1], num_heads=[2, 4], window_size=4
            ),
        ),
        "another order of its units changes",
    ),
    "vit_mae": (("ViTMAEModel", other("ViTMAEConfig", **IMAGE)), "computes something else each time"),
}


def is_derived_here(name: str) -> bool:
    """Whether a family is derived for an architecture on the installed transformers, if that has it."""
    return has(DERIVED[name]) and (name not in LATER or int(transformers.__version__.partition(".")[0]) >= 5)


def has(case: Case) -> bool:
    """Whether the installed transformers has an architecture."""
    return hasattr(transformers, case[0])


def make_undeclared(name: str) -> PreTrainedModel:
    """A model of an architecture by its name here."""
    return make_other_model(*(DERIVED[name] if name in DERIVED else REFUSED[name][0]))
