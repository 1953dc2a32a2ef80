"""keras-segen"""
