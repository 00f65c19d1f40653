"""The parts of the chat page; ``app.py`` lays them out. What they do, the Python API can do."""
