from api.openai_compat.router import router

__all__ = ["router"]
