"""A workflow as a picture of boxes and links, drawn as text, Mermaid or SVG."""
