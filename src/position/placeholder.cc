namespace longspan {}
