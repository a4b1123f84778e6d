"""Back ends for logits: torch in float32 or bfloat16, ONNX Runtime in float32 or int8, OpenVINO in float32."""
