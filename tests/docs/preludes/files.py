from pathlib import Path

Path("config.txt").write_text("settings")
